"""Exact and near duplicates, within a corpus and against earlier ones."""
