"""Real text of the embedded sample and, where it is present, of the shared data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from eurolm.corpus.sample.pick import read_records
from eurolm.corpus.text.words import words_of

REPOSITORY = Path(__file__).resolve().parents[3]
SHARED_ITEMS = REPOSITORY.parent / "shared" / "data" / "eval"


def sample(name: str, count: int | None = None) -> list[dict[str, Any]]:
    """Records of one file of the embedded sample."""
    return read_records(REPOSITORY / "src" / "eurolm" / "corpus" / "sample" / f"{name}.jsonl.zst")[:count]


def words_list(text: str) -> list[str]:
    """Words as the corpus counts them."""
    words = words_of(pl.Series([text]))
    return [words.distinct[code] for code in words.codes]
