"""All duplicates of a corpus: exact ones by hash, then near ones by band, each a pass over measured columns.

Of two the one to keep is: the one of an earlier corpus, the held-out one, the one of the source named first in the
config, the longer one, the one with the lower id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from eurolm.artifacts.atomic import replacing
from eurolm.config.corpus import DuplicatesConfig
from eurolm.corpus.duplicates.candidates import lookup
from eurolm.corpus.duplicates.components import MEMBERSHIPS_PER_PART, split
from eurolm.corpus.duplicates.keys import (
    ROWS_PER_PART,
    Groups,
    KeyTask,
    Mask,
    group_rows,
    parts_for,
    read_groups,
)
from eurolm.corpus.duplicates.near import Buckets, near_duplicates
from eurolm.corpus.measure import TEXT_HASH, band_columns
from eurolm.corpus.measured import EARLIER, Measured
from eurolm.corpus.text.words import Ints
from eurolm.machine.workers import Workers

PREFERENCE = ("heldout_group", "characters", "id")


@dataclass(frozen=True)
class Sizes:
    """What bounds memory; tests make them small."""

    rows_per_part: int = ROWS_PER_PART
    memberships_per_part: int = MEMBERSHIPS_PER_PART


DEFAULT_SIZES = Sizes()


@dataclass(frozen=True)
class Duplicates:
    """Repeated rows (int64, ascending), the row each repeats, how alike they are, and whether it was a near match."""

    rows: Ints
    kept: Ints
    similarity: np.ndarray[tuple[int], np.dtype[np.float64]]
    near: Mask


@dataclass(frozen=True)
class Search:
    """Where duplicates are sought: the measured corpus, a directory for scratch files, workers."""

    measured: Measured
    settings: DuplicatesConfig
    scratch: Path
    workers: Workers
    sizes: Sizes = DEFAULT_SIZES

    def groups(
        self, name: str, columns: Sequence[str], among: Path, anchors: Path | None = None
    ) -> tuple[list[Path], int]:
        """Files of the groups of rows in the mask `among` that share these key columns, and how many rows they hold."""
        parts = parts_for(self.measured.rows, self.sizes.rows_per_part)
        outs = [self.scratch / f"{name}-{part:03d}.npz" for part in range(parts)]
        files = self.measured.key_files()
        tasks = [KeyTask(files, tuple(columns), among, anchors, part, parts, out) for part, out in enumerate(outs)]
        held = self.workers.map(group_rows, tasks, label=f"group {name}", unit="ranges")
        return outs, sum(held)

    def mask(self, name: str, mask: Mask) -> Path:
        """A Boolean per row, as a file that workers read."""
        path = self.scratch / f"{name}.npy"
        with replacing(path) as partial, partial.open("wb") as stream:
            np.save(stream, mask)
        return path

    def preference(self, rows: Ints) -> Ints:
        """Places in `rows`, the row to keep first."""
        told = self.measured.gather(rows, PREFERENCE).with_columns(earlier=pl.col("source") == EARLIER)
        order = told.with_row_index("place").sort(
            "earlier", "heldout_group", "source", "characters", "id",
            descending=[True, True, False, True, False], maintain_order=True,
        )  # fmt: skip
        return order["place"].to_numpy().astype(np.int64)


def repeated_ids(search: Search) -> Ints:
    """Rows whose id an earlier row has: the same record read twice."""
    files, _ = search.groups("id", ["id"], search.mask("all", np.ones(search.measured.rows, np.bool_)))
    found = [np.zeros(0, np.int64)]
    for path in files:
        groups = read_groups(path)
        first = np.zeros(len(groups.rows), np.bool_)
        first[groups.edges()[:-1]] = True
        found.append(groups.rows[~first])
    return np.sort(np.concatenate(found))


def exact_duplicates(search: Search, among: Mask) -> tuple[Ints, Ints]:
    """(row, the row it repeats) of rows with the same text."""
    files, _ = search.groups("text", TEXT_HASH, search.mask("passed", among))
    pairs = [_winners(read_groups(path), search) for path in files]
    return np.concatenate([rows for rows, _ in pairs]), np.concatenate([kept for _, kept in pairs])


def _winners(groups: Groups, search: Search) -> tuple[Ints, Ints]:
    if not len(groups.rows):
        return groups.rows, groups.rows
    rank = np.empty(len(groups.rows), np.int64)
    rank[search.preference(groups.rows)] = np.arange(len(groups.rows))
    edges = groups.edges()
    best = np.repeat(np.minimum.reduceat(rank, edges[:-1]), np.diff(edges))
    by_rank = groups.rows[np.argsort(rank)]
    repeats = rank != best
    return groups.rows[repeats], by_rank[best[repeats]]


@dataclass(frozen=True)
class NearTask:
    """One part of the connected components: its rows in order of preference, which are held out, which are of an
    earlier corpus. `shingles` are the files that hold the rows' sets."""

    min_jaccard: float
    wide: tuple[Path, ...]
    narrow: tuple[Path, ...]
    order: Ints
    heldout: Mask
    earlier: Mask
    shingles: tuple[Path, ...]


def near_duplicates_of(
    search: Search, among: Mask, heldout: Mask, load_shingles: Callable[[Ints], list[Path]]
) -> tuple[Ints, Ints, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """(row, the kept row it is like, their similarity). `load_shingles` writes the sets of the rows it is given."""
    wide, narrow = band_columns(search.settings)
    distinct, anchors = search.mask("distinct", among), search.mask("heldout", heldout & among)
    found_wide = [search.groups(name, [name], distinct) for name in wide]
    found_narrow = [search.groups(name, [name], distinct, anchors) for name in narrow]
    wide_files = tuple(path for paths, _ in found_wide for path in paths)
    narrow_files = tuple(path for paths, _ in found_narrow for path in paths)
    memberships = sum(held for _, held in [*found_wide, *found_narrow])
    parts = split([*wide_files, *narrow_files], memberships, search.sizes.memberships_per_part)
    shingles = tuple(load_shingles(parts.rows))
    tasks = []
    for part in range(parts.parts):
        rows = parts.rows[parts.part == part]
        order = rows[search.preference(rows)]
        earlier = order < search.measured.earlier_rows
        tasks.append(
            NearTask(search.settings.min_jaccard, wide_files, narrow_files, order, heldout[order], earlier, shingles)
        )
    pairs = search.workers.map(compare_part, tasks, label="compare", unit="parts")
    rows, kept, similarity = (np.concatenate([pair[place] for pair in pairs]) for place in range(3))
    return rows.astype(np.int64), kept.astype(np.int64), similarity


def compare_part(task: NearTask) -> tuple[Ints, Ints, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Near duplicates of one part."""
    order = task.order
    by_row = np.argsort(order)
    shingles_of = lookup(task.shingles)
    found = near_duplicates(
        _buckets(task, order[by_row], by_row),
        task.heldout,
        task.earlier,
        lambda place: shingles_of(int(order[place])),
        task.min_jaccard,
    )
    rows = order[np.fromiter(found, np.int64, len(found))]
    kept = order[np.array([match.kept for match in found.values()], np.int64)]
    return rows, kept, np.array([match.similarity for match in found.values()], np.float64)


def _buckets(task: NearTask, rows: Ints, place: Ints) -> Buckets:
    """Buckets of the part's rows (ascending, with their places in order of preference), numbered through all bands."""
    documents, numbers, narrow, used = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)], 0
    for path in (*task.wide, *task.narrow):
        groups = read_groups(path)
        edges = groups.edges()
        bucket = np.repeat(np.arange(max(len(edges) - 1, 0)), np.diff(edges)) + used
        used += max(len(edges) - 1, 0)
        at = np.minimum(np.searchsorted(rows, groups.rows), max(len(rows) - 1, 0))
        here = rows[at] == groups.rows if len(rows) else np.zeros(len(groups.rows), np.bool_)
        documents.append(place[at[here]])
        numbers.append(bucket[here])
        narrow.append(np.full(int(here.sum()), path in task.narrow))
    flat, bucket_of, is_narrow = np.concatenate(documents), np.concatenate(numbers), np.concatenate(narrow)
    order = np.lexsort((bucket_of, flat))
    return Buckets(flat[order], bucket_of[order], is_narrow[order])


def resolve(rows: Ints, kept: Ints) -> Ints:
    """The kept row that each chain ends at: an exact copy of a near-duplicate has two steps to go. `rows` ascend."""
    root = kept.copy()
    while len(rows):
        at = np.minimum(np.searchsorted(rows, root), len(rows) - 1)
        further = rows[at] == root
        if not further.any():
            break
        root[further] = kept[at[further]]
    return root
