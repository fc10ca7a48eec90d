"""Hashes of runs of words against the sum they are defined as; the table that finds them against a set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eurolm.corpus.contamination.ngrams import BLOCK, FACTOR, KeyTable, Runs, distinct, spread

HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=60)


def plain(hashes: list[int]) -> int:
    return sum(value * FACTOR**place for place, value in enumerate(hashes)) % 2**64


@given(HASHES, st.integers(1, 30))
def test_every_run_has_the_sum_it_is_defined_as(hashes: list[int], length: int) -> None:
    runs = Runs.of(np.array(hashes, np.uint64))
    expected = [plain(hashes[at : at + length]) for at in range(len(hashes) - length + 1)]
    assert runs.every(length).tolist() == expected
    first = np.arange(len(expected))
    assert runs.hashes(first, first + length).tolist() == expected


@pytest.mark.parametrize("count", [0, 1, 1000, 3 * BLOCK + 7])
def test_known_hashes_are_found_and_no_others(count: int) -> None:
    draw = np.random.default_rng(count)
    words = draw.integers(0, 50, count).astype(np.uint64) * np.uint64(0x2545F4914F6CDD1D)
    runs = Runs.of(words)
    known = np.unique(runs.every(3)[::17])
    table = KeyTable.of(known)
    where, place = runs.find(3, table)
    wanted = set(known.tolist())
    assert where.tolist() == [at for at, value in enumerate(runs.every(3).tolist()) if value in wanted]
    assert (table.keys[place] == runs.every(3)[where]).all()


def test_an_empty_table_finds_nothing() -> None:
    runs = Runs.of(np.arange(100, dtype=np.uint64))
    assert len(runs.find(5, KeyTable.of(np.zeros(0, np.uint64)))[0]) == 0


def test_rows_of_keys_are_spread() -> None:
    which, row = spread(np.array([0, 2, 2, 5]), np.array([2, 0, 1, 2]))
    assert which.tolist() == [0, 0, 0, 1, 1, 3, 3, 3]
    assert row.tolist() == [2, 3, 4, 0, 1, 2, 3, 4]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=20))
def test_distinct_columns(pairs: list[tuple[int, int]]) -> None:
    columns = np.array(pairs, np.int64).reshape(-1, 2).T
    assert list(zip(*distinct(columns).tolist(), strict=True)) == sorted(set(pairs))
