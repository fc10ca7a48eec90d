"""Shingles of near-duplicate candidates, read again from where their text is: only candidates ever need exact sets.

A file holds the number of sets (int64), the rows they belong to (int64, ascending), their offsets (int64, one more) and
the hashes (uint64), so that one set is one read, whatever the size of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from eurolm.artifacts.atomic import replacing
from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.duplicates.earlier import EarlierSource, earlier_texts
from eurolm.corpus.duplicates.shingles import shingle
from eurolm.corpus.reading import read_unit
from eurolm.corpus.sources.records import Tally
from eurolm.corpus.sources.units import Unit
from eurolm.corpus.text.words import Ints, UInts, words_of

SETS_IN_MEMORY, FILES_IN_MEMORY = 4096, 256
WORD_BYTES = 8


@dataclass(frozen=True)
class CandidateTask:
    """The rows (their numbers in the corpus, ascending) of a unit, or of a source of an earlier corpus, whose shingles
    are wanted; `first` is the number of the first row there."""

    origin: Unit | EarlierSource
    config: CorpusConfig
    rows: Ints
    first: int
    out: Path


def shingle_candidates(task: CandidateTask) -> None:
    """Write the wanted rows' sorted distinct shingles to `task.out`."""
    if task.out.exists():
        return
    sets: list[UInts] = []
    for texts in _texts(task):
        shingles = shingle(words_of(texts), task.config.duplicates.ngram_words)
        sets.extend(np.unique(shingles.row(index)) for index in range(len(shingles)))
    offsets = np.concatenate([[0], np.cumsum([len(item) for item in sets])]).astype(np.int64)
    with replacing(task.out) as partial, partial.open("wb") as stream:
        for part in (np.array([len(sets)], np.int64), task.rows, offsets, *sets):
            part.tofile(stream)


def lookup(files: Sequence[Path]) -> Callable[[int], UInts]:
    """The sorted distinct shingles of a row of the corpus, from the files; the last ones asked for stay in memory."""
    firsts = np.array([np.fromfile(path, np.int64, count=1, offset=WORD_BYTES)[0] for path in files], np.int64)
    order = np.argsort(firsts)

    @lru_cache(maxsize=FILES_IN_MEMORY)
    def directory(place: int) -> tuple[Path, Ints, Ints]:
        path = files[int(order[place])]
        count = int(np.fromfile(path, np.int64, count=1)[0])
        numbers = np.fromfile(path, np.int64, count=2 * count + 1, offset=WORD_BYTES)
        return path, numbers[:count], numbers[count:]

    @lru_cache(maxsize=SETS_IN_MEMORY)
    def shingles_of(row: int) -> UInts:
        path, rows, offsets = directory(int(np.searchsorted(firsts[order], row, side="right")) - 1)
        index = int(np.searchsorted(rows, row))
        start, end = int(offsets[index]), int(offsets[index + 1])
        header = WORD_BYTES * (1 + len(rows) + len(offsets))
        return np.fromfile(path, np.uint64, count=end - start, offset=header + WORD_BYTES * start)

    return shingles_of


def _texts(task: CandidateTask) -> Iterator[pl.Series]:
    if isinstance(task.origin, EarlierSource):
        yield from earlier_texts(task.origin, task.rows - task.first)
        return
    first = task.first
    for read in read_unit(task.origin, task.config, Tally()):
        wanted = task.rows[(task.rows >= first) & (task.rows < first + len(read.frame))] - first
        yield read.frame["text"].gather(wanted)
        first += len(read.frame)
