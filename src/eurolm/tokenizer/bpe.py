"""Byte-level BPE from weighted counts, merge for merge what `tokenizers` learns from the text itself.

The trainer is ffbpe's (Rust, MIT): it takes counts, which `tokenizers` does not, orders pairs like `tokenizers`
(highest count, then lowest ids) and needs a third of its CPU time. A test compares the two on real and on adversarial
words. There is no normaliser and all 256 bytes are in the vocabulary, so that decoding returns every text as it was.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ffbpe import BpeTrainer
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from eurolm.errors import ConfigError, InputError
from eurolm.tokenizer.inventory import WeightedWords
from eurolm.tokenizer.pretokens import LLAMA3

BYTES = 256
MIN_PAIR_COUNT = 2
"""A pair seen once (in the heaviest language) says nothing about the language."""


@dataclass(frozen=True)
class Merges:
    """A trained vocabulary. A smaller one is a prefix of it, so it gives tokenizers of every size up to its own."""

    special: tuple[str, ...]
    alphabet: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]
    """Pairs of tokens in the order learned, in the byte-level alphabet of GPT-2."""

    def tokenizer(self, vocab_size: int) -> Tokenizer:
        """A tokenizer of exactly `vocab_size` entries. Raises InputError when too few merges were learned."""
        vocabulary = {token: number for number, token in enumerate((*self.special, *self.alphabet))}
        kept: list[tuple[str, str]] = []
        for pair in self.merges:
            if len(vocabulary) == vocab_size:
                break
            kept.append(pair)
            vocabulary.setdefault("".join(pair), len(vocabulary))
        if len(vocabulary) != vocab_size:
            raise InputError(
                f"tokenizer.vocab_size = {vocab_size:,}, but the text yields only {len(vocabulary):,} entries: no "
                f"further pair occurs {MIN_PAIR_COUNT} times. Add text, raise tokenizer.max_bytes_per_language, "
                f"or set tokenizer.vocab_size={len(vocabulary)} or less."
            )
        return _tokenizer(vocabulary, kept, self.special)


def check_size(vocab_size: int, special: Sequence[str]) -> None:
    """Raise ConfigError when special tokens and bytes leave no room for a merge."""
    floor = len(special) + BYTES
    if vocab_size <= floor:
        raise ConfigError(
            f"tokenizer.vocab_size = {vocab_size:,} leaves no room for merges: {BYTES} bytes and {len(special)} "
            f"special tokens (tokenizer.special_tokens, tokenizer.spare_tokens) take {floor:,}. "
            f"Take at least {floor + 1:,}, or fewer spare tokens."
        )


def train(weighted: WeightedWords, vocab_size: int, special: Sequence[str]) -> Merges:
    """Learn merges until `vocab_size` entries, or until no pair occurs `MIN_PAIR_COUNT` times.

    A function of the counts alone: neither their order nor the number of threads matters.
    """
    trainer = BpeTrainer(
        special,
        initial_alphabet="byte_level",
        tie_break="smallest_pair_id",
        bigram_cutoff_freq=MIN_PAIR_COUNT * weighted.unit,
    )
    trainer.add_words(weighted.words)
    trainer.train(vocab_size)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "merges.txt"
        trainer.validate_model().save_merges_txt(path, format="gpt2")
        lines = path.read_text(encoding="utf-8").split("\n")
    # A line is "left right => count"; no token holds a space, because the alphabet writes it "Ġ".
    merges = tuple((parts[0], parts[1]) for parts in map(str.split, lines) if len(parts) > 1)
    return Merges(tuple(special), tuple(sorted(pre_tokenizers.ByteLevel.alphabet())), merges)


def _tokenizer(vocabulary: dict[str, int], merges: list[tuple[str, str]], special: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer
