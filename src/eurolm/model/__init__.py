"""The model: built from sizes or loaded from a local checkpoint, and its size in closed form."""
