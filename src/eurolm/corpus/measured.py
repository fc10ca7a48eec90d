"""The measured attributes of all units as one table whose rows are numbered through the corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eurolm.artifacts.atomic import replacing
from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.candidates import CandidateTask
from eurolm.corpus.duplicates import Ints
from eurolm.corpus.measure import read_attributes, read_signatures
from eurolm.corpus.scratch import Scratch
from eurolm.corpus.shingles import UInts
from eurolm.corpus.units import Unit


@dataclass(frozen=True)
class Measured:
    """`edges[i]` is the number of the first row of unit i; one more entry than units."""

    units: Sequence[Unit]
    scratch: Scratch
    edges: Ints

    @staticmethod
    def open(units: Sequence[Unit], scratch: Scratch) -> Measured:
        """Of units that are all measured."""
        rows = [pq.read_metadata(scratch.measured(unit)).num_rows for unit in units]
        return Measured(units, scratch, np.concatenate([[0], np.cumsum(rows)]).astype(np.int64))

    def attributes(self) -> pl.DataFrame:
        """All attributes but signatures, with `source`, the source's place in the config."""
        return pl.concat(
            read_attributes(self.scratch.measured(unit)).with_columns(source=pl.lit(unit.source, pl.Int64))
            for unit in self.units
        )

    def by_unit(self, rows: Ints) -> Iterator[tuple[int, Ints]]:
        """(place of the unit, places in `rows` of its rows) for units that have any."""
        unit = np.searchsorted(self.edges, rows, side="right") - 1
        order = np.argsort(unit, kind="stable")
        starts = np.searchsorted(unit[order], np.arange(len(self.units) + 1))
        for place in range(len(self.units)):
            if starts[place] < starts[place + 1]:
                yield place, order[starts[place] : starts[place + 1]]

    def signatures(self, rows: Ints) -> NDArray[np.uint32]:
        """Signatures [rows, hashes], in the order of `rows`."""
        parts = [
            (places, read_signatures(self.scratch.measured(self.units[unit]), rows[places] - self.edges[unit]))
            for unit, places in self.by_unit(rows)
        ]
        result = np.zeros((len(rows), parts[0][1].shape[1] if parts else 1), np.uint32)
        for places, signatures in parts:
            result[places] = signatures
        return result

    def candidate_tasks(self, rows: Ints, config: CorpusConfig) -> list[CandidateTask]:
        """One task per unit that holds any of `rows`."""
        return [
            CandidateTask(
                self.units[unit],
                config,
                np.sort(rows[places] - self.edges[unit]),
                self.scratch.shingles(self.units[unit]),
            )
            for unit, places in self.by_unit(rows)
        ]

    def shingles(self, rows: Ints) -> Callable[[int], UInts]:
        """Lookup of the sorted distinct shingles of one of `rows`, after the candidate tasks are done."""
        sets: dict[int, UInts] = {}
        for unit, places in self.by_unit(rows):
            with np.load(self.scratch.shingles(self.units[unit])) as stored:
                hashes, offsets = stored["hashes"], stored["offsets"]
            for index, row in enumerate(np.sort(rows[places])):
                sets[int(row)] = hashes[offsets[index] : offsets[index + 1]]
        return sets.__getitem__

    def write_verdicts(self, verdicts: pl.DataFrame) -> None:
        """One file per unit, its rows in file order."""
        for place, unit in enumerate(self.units):
            with replacing(self.scratch.verdicts(unit)) as partial:
                start = int(self.edges[place])
                verdicts.slice(start, int(self.edges[place + 1]) - start).write_parquet(partial)
