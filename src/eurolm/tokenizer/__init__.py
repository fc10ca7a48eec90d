"""From text to vocabulary: train a byte-level BPE, measure it, load it or anybody else's."""
