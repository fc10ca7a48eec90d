"""What a model says about text: log-likelihoods, bits per byte, continuations. Used in training and in evaluation."""
