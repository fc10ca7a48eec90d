"""Rows of a corpus that share a key (an id, a text hash, a band of a MinHash signature), in bounded memory.

Keys are read a column at a time from the measured files and taken in ranges of at most `ROWS_PER_PART` keys, so memory
does not grow with the corpus (datatrove issues 235 and 298: one huge in-memory index, many small files).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eurolm.artifacts.atomic import replacing
from eurolm.corpus.text.words import Ints, UInts

ROWS_PER_PART = 16_000_000
"""Keys sorted at a time: about 700 MB with their row numbers and the sort's own memory."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class KeyFile:
    """Measured attributes of consecutive rows, the first of which is number `first`."""

    path: Path
    first: int


@dataclass(frozen=True)
class KeyTask:
    """One range of one key. `among` and `anchors` are .npy files with a Boolean per row: which rows count, and (or
    null) of which rows every group must hold one."""

    files: tuple[KeyFile, ...]
    columns: tuple[str, ...]
    among: Path
    anchors: Path | None
    part: int
    parts: int
    out: Path


@dataclass(frozen=True)
class Groups:
    """Rows (int64) that share a key, group after group, ascending within one; `keys` (uint64) tells groups apart."""

    rows: Ints
    keys: UInts

    def edges(self) -> Ints:
        """Start of every group, and the end of the last."""
        return np.flatnonzero(np.diff(self.keys, prepend=~self.keys[:1], append=~self.keys[-1:])).astype(np.int64)


def parts_for(rows: int, rows_per_part: int) -> int:
    """Ranges to cut the keys of so many rows into."""
    return max(1, -(-rows // rows_per_part))


def group_rows(task: KeyTask) -> int:
    """Write the groups of two rows and more to `task.out`; returns how many rows they hold."""
    if not task.out.exists():
        among, anchors = np.load(task.among), np.load(task.anchors) if task.anchors else None
        groups = _groups(*_read(task, among), anchors)
        with replacing(task.out) as partial, partial.open("wb") as stream:
            np.savez(stream, rows=groups.rows, keys=groups.keys)
    return len(read_groups(task.out).rows)


def read_groups(path: Path) -> Groups:
    """What `group_rows` wrote."""
    with np.load(path) as stored:
        return Groups(stored["rows"], stored["keys"])


def keys_of(path: Path, columns: Sequence[str]) -> list[UInts]:
    """Key columns (uint64) of all rows of a file. `id`, 32 hex digits, becomes two of them."""
    table = pq.read_table(path, columns=list(columns))
    if list(columns) != ["id"]:
        return [table.column(name).to_numpy() for name in columns]
    digits = bytes.fromhex("".join(table.column("id").to_pylist()))
    halves = np.frombuffer(digits, ">u8").astype(np.uint64).reshape(-1, 2)
    return [halves[:, 0], halves[:, 1]]


def _read(task: KeyTask, among: Mask) -> tuple[Ints, list[UInts]]:
    """Rows in the task's range of the first key column, with their keys."""
    rows: list[Ints] = [np.zeros(0, np.int64)]
    keys: list[list[UInts]] = []
    for file in task.files:
        columns = keys_of(file.path, task.columns)
        wanted = among[file.first : file.first + len(columns[0])]
        if task.parts > 1:
            # The high bits of a hash cut its range evenly.
            wanted = wanted & ((columns[0] >> np.uint64(32)) * np.uint64(task.parts) >> np.uint64(32) == task.part)
        rows.append(np.flatnonzero(wanted) + file.first)
        keys.append([column[wanted] for column in columns])
    return np.concatenate(rows), [np.concatenate(column) for column in zip(*keys, strict=True)]


def _groups(rows: Ints, keys: list[UInts], anchors: Mask | None) -> Groups:
    if anchors is not None:
        # Few rows are anchors: only what shares a key with one of them needs sorting.
        near = np.isin(keys[0], keys[0][anchors[rows]])
        rows, keys = rows[near], [key[near] for key in keys]
    order = np.lexsort((rows, *reversed(keys)))
    rows, keys = rows[order], [key[order] for key in keys]
    differs = np.zeros(max(len(rows) - 1, 0), np.bool_)
    for key in keys:
        differs |= key[1:] != key[:-1]
    group = np.concatenate([np.zeros(min(len(rows), 1), np.int64), np.cumsum(differs)]).astype(np.int64)
    inside = np.bincount(group, minlength=1)[group] > 1 if len(rows) else np.zeros(0, np.bool_)
    # Two keys that differ only in their second column must not become one group.
    number = keys[0] if len(keys) == 1 else group.astype(np.uint64)
    return Groups(rows[inside], number[inside])
