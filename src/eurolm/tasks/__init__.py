"""Evaluation tasks as data: the YAML that describes each, and its items. No torch."""
