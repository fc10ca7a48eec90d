"""Back from a row to the documents it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eurolm.tokens.encode import documents_path
from eurolm.tokens.shards import ShardReader

TRACED_SHARDS = 8
"""Document tables kept in memory while samples are traced."""


@dataclass(frozen=True)
class TracedPiece:
    """A stretch of a document in a row."""

    id: str
    """The document's id; `<shard>#<number>` for documents of foreign shards, which have none."""
    shard: str
    document: int
    """Number in the shard."""
    position: int
    """Where in the row it begins."""
    length: int
    """Row positions it takes, the EODs around the document included."""
    first_token: int
    """Number in the document of its first token."""
    complete: bool
    """True when the whole document lies in this row."""


@dataclass(frozen=True)
class ShardDocuments:
    """Documents of one shard."""

    ids: list[str] | None
    """Null for a foreign shard, which has no document table."""
    starts: NDArray[np.int64]

    def traced(self, pieces: NDArray[np.void], shard: str) -> list[TracedPiece]:
        """The pieces of a row, laid one after another."""
        found, position = [], 0
        for start, document, length, begins, ends in pieces.tolist():
            name = self.ids[document] if self.ids else f"{shard}#{document}"
            first = max(start - int(self.starts[document]), 0)
            found.append(TracedPiece(name, shard, document, position, length, first, begins and ends))
            position += length
        return found


def read_documents(stem: Path) -> ShardDocuments:
    """Ids and starts of a shard's documents. Raises InputError for a damaged shard."""
    table = documents_path(stem)
    ids = pq.read_table(table, columns=["id"])["id"].to_pylist() if table.is_file() else None
    with ShardReader(stem) as shard:
        return ShardDocuments(ids, shard.starts)
