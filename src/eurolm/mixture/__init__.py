"""The read side of training data: which row comes when, and the arrays a step trains on."""
