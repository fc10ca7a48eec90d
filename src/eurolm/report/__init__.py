"""The run report: one HTML file with its figures as JSON beside it, and the screen a finished run ends with."""

RECIPE = 2
