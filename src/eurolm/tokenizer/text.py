"""Which text a tokenizer is trained on: an even, size-exact and deterministic selection of each language.

A language of more than the wanted bytes is read in part. Documents are taken evenly along each shard by error
diffusion: one is taken whenever the bytes taken so far lag behind share × bytes seen. A shard's selection depends on
that shard and the shares alone, so shards can be counted anywhere in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BATCH_DOCUMENTS = 256
UNKNOWN = "und"
"""BCP-47 code of text whose language nobody stated."""


@dataclass(frozen=True)
class Size:
    """Documents and UTF-8 bytes of one language."""

    documents: int
    text_bytes: int


def sizes(shard: Path) -> dict[str, Size]:
    """Text per language of one Parquet shard."""
    documents: Counter[str] = Counter()
    text_bytes: Counter[str] = Counter()
    for batch in _batches(shard):
        for language, size in zip(_languages(batch), _sizes(batch), strict=True):
            documents[language] += 1
            text_bytes[language] += size
    return {language: Size(documents[language], text_bytes[language]) for language in documents}


def selected(shard: Path, shares: Mapping[str, float]) -> Iterator[dict[str, list[str]]]:
    """Batches of the selected texts by language, in shard order."""
    seen, taken = dict.fromkeys(shares, 0), dict.fromkeys(shares, 0)
    for batch in _batches(shard):
        texts: dict[str, list[str]] = {}
        rows = zip(batch["text"], _languages(batch), _sizes(batch), strict=True)
        for text, language, size in rows:
            seen[language] += size
            if taken[language] + size / 2 <= shares[language] * seen[language]:
                taken[language] += size
                texts.setdefault(language, []).append(text.as_py())
        yield texts


def _batches(shard: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(shard) as file:
        yield from file.iter_batches(BATCH_DOCUMENTS, columns=["text", "language"], use_threads=False)


def _languages(batch: pa.RecordBatch) -> list[str]:
    return [language or UNKNOWN for language in batch["language"].to_pylist()]


def _sizes(batch: pa.RecordBatch) -> list[int]:
    return list(pc.binary_length(batch["text"]).to_pylist())
