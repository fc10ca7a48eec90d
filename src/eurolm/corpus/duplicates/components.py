"""Documents that share buckets, cut into parts that can be compared one without the others.

Buckets connect documents; connected components never compare across their borders. Components are found by spreading
the lowest label through every bucket until nothing changes, one file of buckets in memory at a time, and are then dealt
out to parts by a hash of their label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eurolm.corpus.duplicates.keys import read_groups
from eurolm.corpus.text.words import Ints

MEMBERSHIPS_PER_PART = 10_000_000
"""Pairs of document and bucket that one part compares: about 1 GB with what Python keeps of them."""
SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Parts:
    """Rows (int64, ascending) that are in any bucket, and the part (int64) each belongs to."""

    rows: Ints
    part: Ints
    parts: int


def split(files: Sequence[Path], memberships: int, per_part: int) -> Parts:
    """Parts of about `per_part` memberships of the buckets in `files`; one component is never cut."""
    rows = np.zeros(0, np.int64)
    for path in files:
        rows = np.union1d(rows, read_groups(path).rows)
    parts = max(1, -(-memberships // per_part))
    if parts == 1:
        return Parts(rows, np.zeros(len(rows), np.int64), 1)
    label = _labels(rows, files)
    return Parts(rows, ((label.astype(np.uint64) * SPREAD) >> np.uint64(33)).astype(np.int64) % parts, parts)


def _labels(rows: Ints, files: Sequence[Path]) -> Ints:
    """For every row the place of the first row of its component."""
    label = np.arange(len(rows), dtype=np.int64)
    while True:
        before = label.copy()
        for path in files:
            groups = read_groups(path)
            if not len(groups.rows):
                continue
            member = np.searchsorted(rows, groups.rows)
            edges = groups.edges()
            lowest = np.minimum.reduceat(label[member], edges[:-1])
            spread = np.repeat(lowest, np.diff(edges))
            # The row that a label names learns of the lower one too, so that labels travel by leaps.
            np.minimum.at(label, label[member], spread)
            np.minimum.at(label, member, spread)
        while not np.array_equal(label[label], label):
            label = label[label]
        if np.array_equal(before, label):
            return label
