"""Quality rules: each measures one figure of a document and compares it with one threshold of its language."""
