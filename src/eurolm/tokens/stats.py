"""How many tokens of what: documents, bytes per token and document lengths, per source and language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eurolm.tokenizer.text import UNKNOWN
from eurolm.tokens.collection import Collection
from eurolm.tokens.encode import documents_path
from eurolm.tokens.shards import ShardReader

LIMITS = 2 ** np.arange(4, 25)
"""Upper limits of the histogram's bins in tokens, 16 to 16 M; the last bin holds everything longer too."""


@dataclass
class Stats:
    """Documents of one source in one language. Tokens count the EODs."""

    source: str
    language: str | None
    """Null for foreign shards, which do not say."""
    documents: int = 0
    tokens: int = 0
    text_bytes: int | None = 0
    """UTF-8 bytes; null for foreign shards."""
    longest: int = 0
    longest_at: str = ""
    """`<shard>#<number>` of the longest document."""
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LIMITS), np.int64))
    """Documents per bin of `LIMITS`."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the histogram as `{upper limit: documents}` of the bins that hold any."""
        bins = zip(LIMITS.tolist(), self.histogram.tolist(), strict=True)
        return {
            **vars(self),
            "bytes_per_token": self.text_bytes / self.tokens if self.text_bytes is not None and self.tokens else None,
            "histogram": {str(limit): count for limit, count in bins if count},
        }

    def add(self, shard: str, number: NDArray[np.int64], lengths: NDArray[np.int64], text_bytes: int | None) -> None:
        """Count documents `number` of a shard."""
        self.documents += len(lengths)
        self.tokens += int(lengths.sum())
        self.text_bytes = None if text_bytes is None or self.text_bytes is None else self.text_bytes + text_bytes
        bins = np.minimum(np.searchsorted(LIMITS, lengths), len(LIMITS) - 1)
        self.histogram += np.bincount(bins, minlength=len(LIMITS))
        if len(lengths) and int(lengths.max()) > self.longest:
            place = int(lengths.argmax())
            self.longest, self.longest_at = int(lengths[place]), f"{shard}#{int(number[place])}"


def statistics(shards: Collection) -> list[Stats]:
    """One record per source and language. Raises InputError for a damaged shard."""
    found: dict[tuple[str, str | None], Stats] = {}
    for source, stems in shards.sources.items():
        for stem in stems:
            for language, number, lengths, text_bytes in _documents(stem):
                stats = found.setdefault((source, language), Stats(source, language))
                stats.add(shards.name(stem), number, lengths, text_bytes)
    return list(found.values())


def _documents(
    stem: Path,
) -> Iterator[tuple[str | None, NDArray[np.int64], NDArray[np.int64], int | None]]:
    """Per language of a shard: numbers and lengths of its documents, and their bytes of text."""
    with ShardReader(stem) as shard:
        lengths = shard.lengths
    if not documents_path(stem).is_file():
        yield None, np.arange(len(lengths)), lengths, None
        return
    table = pq.read_table(documents_path(stem), columns=["language", "bytes"])
    codes = pc.dictionary_encode(table["language"].fill_null(UNKNOWN).combine_chunks())
    language, sizes = codes.indices.to_numpy(), table["bytes"].to_numpy()
    for code, name in enumerate(codes.dictionary.to_pylist()):
        chosen = np.flatnonzero(language == code)
        yield name, chosen, lengths[chosen], int(sizes[chosen].sum())
