"""What a vocabulary costs each language: tokens per word and bytes per token on held-out text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from eurolm.tokenizer.load import LoadedTokenizer

MEASURED_BYTES = 1_000_000
"""Held-out text measured per language: the third digit of fertility is stable from there on."""


@dataclass(frozen=True)
class Fertility:
    """Cost of one language's held-out text. Words are runs without white space."""

    documents: int
    text_bytes: int
    words: int
    tokens: int
    tokens_per_word: float
    bytes_per_token: float


def fertility(loaded: LoadedTokenizer, texts: list[str]) -> Fertility | None:
    """Fertility over the texts; null when they hold no word."""
    text_bytes = sum(len(text.encode()) for text in texts)
    words = sum(len(text.split()) for text in texts)
    tokens = sum(len(ids) for ids in loaded.encode_batch(texts))
    if not words or not tokens:
        return None
    return Fertility(len(texts), text_bytes, words, tokens, tokens / words, text_bytes / tokens)


def heldout_fertility(loaded: LoadedTokenizer, corpus: Path, language: str) -> dict[str, Any] | None:
    """Fertility on up to `MEASURED_BYTES` of each held-out source, in path order; null without held-out text."""
    paths = sorted((corpus / "heldout" / language).glob("*.parquet"))
    texts: list[str] = []
    for path in paths:
        left = MEASURED_BYTES // len(paths)
        for text in pq.read_table(path, columns=["text"])["text"].to_pylist():
            texts.append(text)
            left -= len(text.encode())
            if left <= 0:
                break
    measured = fertility(loaded, texts)
    return asdict(measured) if measured else None
