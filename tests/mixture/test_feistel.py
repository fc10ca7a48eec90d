from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eurolm.mixture.feistel import permute


def image(size: int, key: int) -> list[int]:
    return permute(np.arange(size), np.full(size, size), np.full(size, key, np.uint64)).tolist()


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 3000), key=st.integers(0, 2**64 - 1))
def test_it_is_a_permutation_for_every_size_and_key(size: int, key: int) -> None:
    assert sorted(image(size, key)) == list(range(size))


def test_elements_of_different_permutations_are_computed_side_by_side() -> None:
    sizes = np.array([7, 1000, 7, 1, 12345], np.int64)
    keys = np.array([5, 6, 5, 9, 2**64 - 1], np.uint64)
    values = np.array([3, 999, 6, 0, 12344], np.int64)
    expected = [image(int(size), int(key))[value] for size, key, value in zip(sizes, keys, values, strict=True)]
    assert permute(values, sizes, keys).tolist() == expected


@pytest.mark.parametrize("size", [1001, 4097, 100_003])
def test_it_looks_random(size: int) -> None:
    first, second = np.array(image(size, 1)), np.array(image(size, 2))
    for one, other in ((first, np.arange(size)), (second, np.arange(size)), (first, second), (first[1:], first[:-1])):
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(size)
    assert np.count_nonzero(first == np.arange(size)) < 12


def test_a_thousand_million_rows_need_no_table() -> None:
    size = 10**12 + 39
    values = np.array([0, 1, size - 1, 10**9], np.int64)
    got = permute(values, np.full(4, size), np.full(4, 3, np.uint64))
    assert len(set(got.tolist())) == 4
    assert (got >= 0).all()
    assert (got < size).all()


def test_the_order_is_pinned_for_ever() -> None:
    assert image(10, 1) == [0, 3, 1, 6, 9, 8, 4, 5, 7, 2]
