"""Grouping rows by key and cutting buckets into parts: the same result however small the pieces are."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from tests.corpus.building import build, config, hashes, report, sample, write_source
from tests.corpus.duplicates.test_duplicates import edited

from eurolm.corpus.duplicates.components import split
from eurolm.corpus.duplicates.find import Sizes, resolve
from eurolm.corpus.duplicates.keys import KeyFile, KeyTask, group_rows, read_groups

ROWS = 3000


@pytest.fixture
def key_files(tmp_path: Path) -> tuple[KeyFile, ...]:
    """Three files of keys that repeat now and then; two columns of which the second matters."""
    generator = np.random.default_rng(1)
    files = []
    for place, first in enumerate(range(0, ROWS, 1000)):
        high = generator.integers(0, 1500, 1000).astype(np.uint64) * np.uint64(12297829382473034411)
        frame = pl.DataFrame({"high": high, "low": generator.integers(0, 2, 1000).astype(np.uint64)})
        frame.write_parquet(tmp_path / f"{place}.parquet")
        files.append(KeyFile(tmp_path / f"{place}.parquet", first))
    return tuple(files)


def brute(files: tuple[KeyFile, ...], among: np.ndarray, anchors: np.ndarray | None) -> set[tuple[int, ...]]:
    groups: dict[tuple[int, int], list[int]] = {}
    for file in files:
        for index, key in enumerate(pl.read_parquet(file.path).iter_rows()):
            if among[file.first + index]:
                groups.setdefault(key, []).append(file.first + index)
    return {tuple(rows) for rows in groups.values() if len(rows) > 1 and (anchors is None or anchors[rows].any())}


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("anchored", [False, True])
def test_groups_are_those_of_a_dictionary(
    tmp_path: Path, key_files: tuple[KeyFile, ...], parts: int, anchored: bool
) -> None:
    generator = np.random.default_rng(2)
    among, anchors = generator.random(ROWS) < 0.9, generator.random(ROWS) < 0.1
    anchors &= among
    np.save(tmp_path / "among.npy", among)
    np.save(tmp_path / "anchors.npy", anchors)
    columns = ("high",) if anchored else ("high", "low")
    found: set[tuple[int, ...]] = set()
    for part in range(parts):
        out = tmp_path / f"groups{part}.npz"
        marks = tmp_path / "anchors.npy" if anchored else None
        task = KeyTask(key_files, columns, tmp_path / "among.npy", marks, part, parts, out)
        held = group_rows(task)
        groups = read_groups(out)
        edges = groups.edges()
        assert held == len(groups.rows) < ROWS
        found |= {tuple(groups.rows[a:b].tolist()) for a, b in pairwise(edges)}
    if anchored:
        files = tuple(key_files)
        for file in files:
            frame = pl.read_parquet(file.path).with_columns(low=pl.lit(0, pl.UInt64))
            frame.write_parquet(file.path)
    assert found == brute(key_files, among, anchors if anchored else None)
    assert len(found) > 100


def test_parts_are_whole_components(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    edges = generator.integers(0, 2000, (900, 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    for number, part in enumerate(np.array_split(edges, 3)):
        keys = np.repeat(np.arange(len(part), dtype=np.uint64), 2)
        np.savez(tmp_path / f"{number}.npz", rows=np.sort(part, axis=1).ravel(), keys=keys)
    files = [tmp_path / f"{number}.npz" for number in range(3)]
    found = split(files, 2 * len(edges), 100)
    assert found.parts == -(-2 * len(edges) // 100) and found.rows.tolist() == sorted(set(edges.ravel().tolist()))
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(2000, 2000))
    _, component = connected_components(graph, directed=False)
    part_of = dict(zip(found.rows.tolist(), found.part.tolist(), strict=True))
    for one, two in edges.tolist():
        assert component[one] == component[two] and part_of[one] == part_of[two]
    assert len(set(part_of.values())) > 5
    assert len(split(files, 10, 100).rows) == len(found.rows)


def test_chains_of_copies_end_at_the_kept_row() -> None:
    rows, kept = np.array([1, 2, 5, 9]), np.array([5, 0, 2, 7])
    assert resolve(rows, kept).tolist() == [0, 0, 0, 7]
    assert resolve(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


def test_small_pieces_give_the_same_corpus(tmp_path: Path) -> None:
    bills = sample("et_riigikogu_bill_summaries")
    copies = [
        {"id": f"copy{place}", "text": edited(record["text"], 0.002 * (place % 20), place)}
        for place, record in enumerate(bills)
    ]
    write_source(tmp_path / "bills.jsonl", bills)
    write_source(tmp_path / "copies.jsonl", copies)
    sources = [{"name": name, "paths": [f"{name}.jsonl"]} for name in ("bills", "copies")]
    section = config(sources, heldout={"share": 0.1})
    whole = build(tmp_path, section)
    pieces = build(tmp_path, section, "pieces", sizes=Sizes(rows_per_part=150, memberships_per_part=500))
    assert hashes(whole) == hashes(pieces)
    assert report(whole)["totals"]["dropped"]["near_duplicate"] > 50
