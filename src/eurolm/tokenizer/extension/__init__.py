"""More vocabulary for an existing BPE tokenizer, learnt by going on with its own merges."""
