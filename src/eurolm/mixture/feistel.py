"""A random permutation that is computed element by element, so that 10^9 rows need no shuffled list.

An alternating Feistel network (Luby, Rackoff 1988, doi 10.1137/0217022): the number is cut into a high and a low part
of `bits` / 2 bits, and each round adds a keyed hash of one part to the other, which can be undone and is therefore a
permutation of 0 … 2^bits - 1 whatever the hash. Numbers that land at or beyond `size` are sent through again
until they land below it (cycle walking; Black, Rogaway 2002, doi 10.1007/3-540-45760-7_9), fewer than twice on average.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eurolm.corpus.text.mixing import mix64
from eurolm.tokens.order import GOLDEN

ROUNDS = 8


def permute(values: NDArray[np.int64], sizes: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each element, the image of `values` under the permutation of 0 … `sizes` - 1 chosen by `keys`.

    All arrays have the same shape; 0 ≤ values < sizes. Elements with the same size and key share a permutation.
    """
    result = values.astype(np.uint64)
    limit = sizes.astype(np.uint64)
    high, low = _bits(sizes)
    walking = np.arange(len(result))
    while len(walking):
        walked = _encrypt(result[walking], high[walking], low[walking], keys[walking])
        result[walking] = walked
        walking = walking[walked >= limit[walking]]
    return result.astype(np.int64)


def _bits(sizes: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Bits of the high and the low part: together just enough for `sizes` - 1, at least one each."""
    total = np.maximum(np.frexp((sizes - 1).astype(np.float64))[1], 2)
    high = total // 2
    return high.astype(np.uint64), (total - high).astype(np.uint64)


def _encrypt(
    values: NDArray[np.uint64], high: NDArray[np.uint64], low: NDArray[np.uint64], keys: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    one = np.uint64(1)
    high_mask, low_mask = (one << high) - one, (one << low) - one
    left, right = values >> low, values & low_mask
    for number in range(ROUNDS // 2):
        left ^= mix64(right + keys + np.uint64(2 * number * GOLDEN % 2**64)) & high_mask
        right ^= mix64(left + keys + np.uint64((2 * number + 1) * GOLDEN % 2**64)) & low_mask
    return (left << low) | right
