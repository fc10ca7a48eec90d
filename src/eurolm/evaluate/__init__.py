"""Scores of a model with honest intervals and with the rows they must be read against."""
