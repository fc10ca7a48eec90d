"""Counts of distinct strings in bounded memory, with the error stated.

Lossy counting (Manku and Motwani, VLDB 2002) with a floor that rises as needed: when more than `limit` distinct strings
are held, the rarest are dropped until half the limit remains. Strings dropped are rare by construction, and BPE takes
the most frequent pairs, so what is lost is a tail that no merge came from; how much it was is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

SCHEMA = {"word": pl.String, "count": pl.UInt64}


@dataclass(frozen=True)
class CountError:
    """What pruning cost. Every count is at most `floor` too low, and all of them together are `dropped` too low."""

    floor: int = 0
    dropped: int = 0

    def __add__(self, other: CountError) -> CountError:
        return CountError(self.floor + other.floor, self.dropped + other.dropped)


class BoundedCounts:
    """Adds up tables of counts. The result is a function of the tables and their order."""

    def __init__(self, limit: int) -> None:
        self.limit, self.error = limit, CountError()
        self._tables: list[pl.DataFrame] = []
        self._rows = 0

    def add(self, table: pl.DataFrame, error: CountError | None = None) -> None:
        """Add a table `word, count` and the error it comes with. Words may be there already."""
        self._tables.append(table)
        self._rows += table.height
        self.error += error or CountError()
        if self._rows > 2 * self.limit:
            self._settle()

    def add_words(self, words: dict[str, int]) -> None:
        """Add a dictionary of counts."""
        self.add(pl.DataFrame({"word": list(words), "count": list(words.values())}, schema=SCHEMA))

    def table(self) -> pl.DataFrame:
        """`word, count` with every word once, in no order."""
        self._settle()
        return self._tables[0]

    def _settle(self) -> None:
        table = pl.concat([pl.DataFrame(schema=SCHEMA), *self._tables])
        if len(self._tables) > 1:
            table = table.group_by("word").agg(pl.col("count").sum())
        if table.height > self.limit:
            floor: Any = table["count"].top_k(self.limit // 2 + 1).min()
            rare = table.filter(pl.col("count") <= floor)
            self.error += CountError(floor, int(rare["count"].sum()))
            table = table.filter(pl.col("count") > floor)
        self._tables, self._rows = [table], table.height
