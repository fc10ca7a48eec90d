"""Text that must not be trained on: evaluation items, held-out documents."""
