"""Fixtures of the small corpus."""

from tests.tokens.small_corpus import corpus, tokenizer_dir, tokens_dir

__all__ = ["corpus", "tokenizer_dir", "tokens_dir"]
