"""Shingles of near-duplicate candidates, read again from where their text is: only candidates ever need exact sets.

A file holds the number of sets (uint64), their offsets (int64, one more) and the hashes (uint64), so that one set is
one read, whatever the size of the file.
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

SETS_IN_MEMORY = 4096
WORD_BYTES = 8


@dataclass(frozen=True)
class CandidateTask:
    """The rows (ascending) of a unit, or of a source of an earlier corpus, whose shingles are wanted."""

    origin: Unit | EarlierSource
    config: CorpusConfig
    rows: Ints
    out: Path


@dataclass(frozen=True)
class ShingleFile:
    """Finished shingles of the rows (their numbers in the corpus, ascending) in `path`."""

    path: Path
    rows: Ints


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
        np.array([len(sets)], np.uint64).tofile(stream)
        offsets.tofile(stream)
        for item in sets:
            item.tofile(stream)


def lookup(files: Sequence[ShingleFile]) -> Callable[[int], UInts]:
    """The sorted distinct shingles of a row of the corpus, from the files; the last ones asked for stay in memory."""
    firsts = np.array([file.rows[0] for file in files], np.int64)
    order = np.argsort(firsts)
    ordered = [files[int(place)] for place in order]
    offsets = [_offsets(file.path) for file in ordered]

    @lru_cache(maxsize=SETS_IN_MEMORY)
    def shingles_of(row: int) -> UInts:
        place = int(np.searchsorted(firsts[order], row, side="right")) - 1
        file, edges = ordered[place], offsets[place]
        index = int(np.searchsorted(file.rows, row))
        header = WORD_BYTES * (1 + len(edges))
        start, end = int(edges[index]), int(edges[index + 1])
        return np.fromfile(file.path, np.uint64, count=end - start, offset=header + WORD_BYTES * start)

    return shingles_of


def _offsets(path: Path) -> Ints:
    sets = int(np.fromfile(path, np.uint64, count=1)[0])
    return np.fromfile(path, np.int64, count=sets + 1, offset=WORD_BYTES)


def _texts(task: CandidateTask) -> Iterator[pl.Series]:
    if isinstance(task.origin, EarlierSource):
        yield from earlier_texts(task.origin, task.rows)
        return
    first = 0
    for read in read_unit(task.origin, task.config, Tally()):
        wanted = task.rows[(task.rows >= first) & (task.rows < first + len(read.frame))] - first
        yield read.frame["text"].gather(wanted)
        first += len(read.frame)
