"""Measured against the field's tools in the same run, per CPU-second, because wall time on shared cores says little."""
