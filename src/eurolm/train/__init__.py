"""Training: ranks, DeepSpeed engine, steps, checkpoints, validation inside training, and the export at the end."""
