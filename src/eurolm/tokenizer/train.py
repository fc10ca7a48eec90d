"""One way to a vocabulary from counts, whatever the algorithm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

from tokenizers import Tokenizer

from eurolm.config.tokens import TokenizerConfig
from eurolm.tokenizer import bpe, pieces
from eurolm.tokenizer.inventory import Inventory
from eurolm.tokenizer.special import special_tokens

Vocabulary = Callable[[int], Tokenizer]
"""Gives the tokenizer of a size, at most the one trained for. Smaller sizes are free for `bpe` and a
training each for SentencePiece."""


def check_config(config: TokenizerConfig) -> None:
    """Raise ConfigError for what is wrong whatever the text: special tokens, a vocabulary too small for them."""
    special = special_tokens(config.spare_tokens, config.special_tokens)
    bpe.check_size(config.vocab_size, special)


def train(config: TokenizerConfig, inventory: Inventory, weights: Mapping[str, float]) -> Vocabulary:
    """Train up to `config.vocab_size` entries on counts weighted per language."""
    special = special_tokens(config.spare_tokens, config.special_tokens)
    weighted = inventory.weighted(weights)
    if config.algorithm == "bpe":
        return cache(bpe.train(weighted, config.vocab_size, special).tokenizer)
    kind: pieces.Kind = "bpe" if config.algorithm == "sentencepiece_bpe" else "unigram"
    return cache(partial(pieces.train, weighted, kind, special))


def training_settings(config: TokenizerConfig) -> dict[str, object]:
    """What decides the bytes beside config and counts, for the record."""
    return {"min_pair_count": bpe.MIN_PAIR_COUNT} if config.algorithm == "bpe" else dict(pieces.SETTINGS)
