"""The measured attributes of all sources, rows numbered through the corpus, read a column or a few rows at a time.

Documents of earlier corpora come first: they have attributes of the same kind (`index/` of a finished corpus).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from eurolm.corpus.duplicates.keys import KeyFile
from eurolm.corpus.text.words import Ints

EARLIER = -1
"""Place among the sources of what an earlier corpus holds: before all of them."""


@dataclass(frozen=True)
class Piece:
    """Attributes of one unit, or of one source of an earlier corpus. `source` is the source's place in the config."""

    path: Path
    source: int


@dataclass(frozen=True)
class Measured:
    """`edges[i]` (int64) is the number of the first row of piece i; one more entry than pieces."""

    pieces: Sequence[Piece]
    edges: Ints

    @staticmethod
    def open(pieces: Sequence[Piece]) -> Measured:
        """Of files that are all written."""
        rows = [pq.read_metadata(piece.path).num_rows for piece in pieces]
        return Measured(pieces, np.concatenate([[0], np.cumsum(rows)]).astype(np.int64))

    @property
    def rows(self) -> int:
        """Documents of all pieces."""
        return int(self.edges[-1])

    @property
    def earlier_rows(self) -> int:
        """Documents of earlier corpora; they have the lowest numbers."""
        return int(self.edges[sum(piece.source == EARLIER for piece in self.pieces)])

    def key_files(self) -> tuple[KeyFile, ...]:
        """Where the keys of all rows are."""
        return tuple(KeyFile(piece.path, int(first)) for piece, first in zip(self.pieces, self.edges, strict=False))

    def by_piece(self, rows: Ints) -> Iterator[tuple[int, Ints]]:
        """(place of the piece, places in `rows` of its rows) for pieces that have any."""
        piece = np.searchsorted(self.edges, rows, side="right") - 1
        order = np.argsort(piece, kind="stable")
        starts = np.searchsorted(piece[order], np.arange(len(self.pieces) + 1))
        for place in range(len(self.pieces)):
            if starts[place] < starts[place + 1]:
                yield place, order[starts[place] : starts[place + 1]]

    def gather(self, rows: Ints, columns: Sequence[str]) -> pl.DataFrame:
        """`columns` of the given rows, in their order, with `source`."""
        parts, places = [], [np.zeros(0, np.int64)]
        for piece, here in self.by_piece(rows):
            table = pl.DataFrame(pl.from_arrow(pq.read_table(self.pieces[piece].path, columns=list(columns))))
            found = table[rows[here] - self.edges[piece]]
            parts.append(found.with_columns(source=pl.lit(self.pieces[piece].source, pl.Int64)))
            places.append(here)
        if not parts:
            return pl.DataFrame(schema=[*columns, "source"])
        return pl.concat(parts)[np.argsort(np.concatenate(places))]
