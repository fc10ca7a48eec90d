"""Seeded pseudo-random order that no library version can change.

NumPy does not promise that its generators draw the same numbers in the next release; a 64-bit mixing function written
out here does. It is a bijection, so distinct positions get distinct keys and an argsort of them has no ties.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from eurolm.corpus.text.mixing import mix64

GOLDEN = 0x9E3779B97F4A7C15
"""2^64 / golden ratio, odd: the increment of SplitMix64."""


def seed64(*parts: str | int) -> int:
    """A 64-bit seed from names and numbers; any difference in the parts gives an unrelated seed."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def shuffled(count: int, seed: int) -> NDArray[np.int64]:
    """A permutation of 0 … count - 1: the positions in the order of their keys.

    The upper bits of a key and the position sort in one word, several times faster than an argsort; the few keys that
    agree in the upper bits are put in order afterwards.
    """
    positions = np.arange(count, dtype=np.uint64)
    keys = mix64(positions * np.uint64(GOLDEN) + np.uint64(seed))
    low = np.uint64((1 << (count - 1).bit_length()) - 1)
    packed = np.sort((keys & ~low) | positions)
    order = (packed & low).astype(np.int64)
    tied = np.flatnonzero((packed[1:] ^ packed[:-1]) <= low)
    tied = np.union1d(tied, tied + 1)
    order[tied] = order[tied][np.argsort(keys[order[tied]])]
    return order
