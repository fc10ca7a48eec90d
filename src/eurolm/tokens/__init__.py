"""The write side of training data: encode documents into Megatron shards, adopt foreign shards, index rows."""
