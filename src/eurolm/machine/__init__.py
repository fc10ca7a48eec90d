"""Facts about the machine this process runs on, and the worker processes it affords."""
