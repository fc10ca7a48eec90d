"""Shingles of near-duplicate candidates, read again from their units: only candidates ever need exact sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eurolm.artifacts.atomic import replacing
from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.duplicates import Ints
from eurolm.corpus.records import Tally, unit_documents
from eurolm.corpus.shingles import UInts, shingle
from eurolm.corpus.units import Unit


@dataclass(frozen=True)
class CandidateTask:
    """The rows of a unit whose shingles are wanted, ascending."""

    unit: Unit
    config: CorpusConfig
    rows: Ints
    out: Path


def shingle_candidates(task: CandidateTask) -> None:
    """Write `hashes` and `offsets` of the wanted rows' sorted distinct shingles to `task.out`."""
    if task.out.exists():
        return
    sets: list[UInts] = []
    first = 0
    for frame in unit_documents(task.unit, task.config, Tally()):
        wanted = task.rows[(task.rows >= first) & (task.rows < first + len(frame))] - first
        shingles = shingle(frame["text"].gather(wanted), task.config.duplicates.ngram_words)
        sets.extend(np.unique(shingles.row(index)) for index in range(len(shingles)))
        first += len(frame)
    offsets = np.concatenate([[0], np.cumsum([len(item) for item in sets])]).astype(np.int64)
    with replacing(task.out) as partial, partial.open("wb") as stream:
        np.savez(stream, hashes=np.concatenate([np.zeros(0, np.uint64), *sets]), offsets=offsets)
