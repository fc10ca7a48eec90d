"""Parallel text that the parity search is tuned on, and how it was made: `ORIGIN.md`."""
