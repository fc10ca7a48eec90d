"""Hashes of any run of consecutive words at two operations per position, and a table that finds known ones among them.

The hash of words f₀…fₙ₋₁ is Σ fⱼ·Fʲ mod 2⁶⁴. With running sums P of fᵢ·Fⁱ over a whole batch, the run from s to e has
(P[e] − P[s])·F⁻ˢ: the same number wherever it stands, at any length, because the odd F has an inverse. Word hashes
are uniform, so these sums are too and need no further mixing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from eurolm.corpus.text.words import Ints, UInts

Number = TypeVar("Number", bound=np.generic)

FACTOR = 0x9E3779B97F4A7C15
INVERSE = pow(FACTOR, -1, 2**64)
BLOCK = 1 << 15
"""Positions looked at in one go: 256 KiB per array, so that a block stays in the cache."""
FILTER_BITS_PER_KEY = 16
USUAL_EXPONENT = 20
"""Powers for 2²⁰ words are kept at least (8 MiB): a batch of 4 MB has about half as many."""


@lru_cache(maxsize=4)
def _powers(base: int, exponent: int) -> UInts:
    """base⁰, base¹, …: 2^exponent numbers."""
    bases = np.full(1 << exponent, base, np.uint64)
    bases[0] = 1
    return np.multiply.accumulate(bases)


@dataclass(frozen=True)
class Runs:
    """Running sums (uint64, one more than words) over the word hashes of a batch."""

    sums: UInts

    @staticmethod
    def of(folded: UInts) -> Runs:
        """From `Words.folded`."""
        sums = np.zeros(len(folded) + 1, np.uint64)
        np.cumsum(folded * _power(FACTOR, len(folded)), out=sums[1:])
        return Runs(sums)

    def hashes(self, first: Ints, last: Ints) -> UInts:
        """Hashes of the runs from word `first` to before word `last`."""
        return (self.sums[last] - self.sums[first]) * _power(INVERSE, len(self.sums))[first]

    def every(self, length: int) -> UInts:
        """Hashes of all runs of `length` words, one per position; runs that cross texts are among them."""
        count = max(len(self.sums) - length, 0)
        return (self.sums[length:] - self.sums[:count]) * _power(INVERSE, count)

    def find(self, length: int, table: KeyTable) -> tuple[Ints, Ints]:
        """Positions of runs of `length` words whose hash is in `table`, and the places of their keys there."""
        count = max(len(self.sums) - length, 0)
        inverse = _power(INVERSE, count)
        found = []
        for start in range(0, count if len(table.keys) else 0, BLOCK):
            end = min(start + BLOCK, count)
            hashes = self.sums[start + length : end + length] - self.sums[start:end]
            hashes *= inverse[start:end]
            where, place = table.find(hashes)
            found.append((where + start, place))
        empty = np.zeros(0, np.int64)
        return (
            np.concatenate([where for where, _ in found] or [empty]),
            np.concatenate([place for _, place in found] or [empty]),
        )


def _power(base: int, count: int) -> UInts:
    return _powers(base, max(USUAL_EXPONENT, (count - 1).bit_length()))[:count]


@dataclass(frozen=True)
class KeyTable:
    """Sorted distinct keys (uint64) behind a Bloom filter of two bits per key, which are its first and its last bits
    read as places: of other hashes it lets one in a hundred through."""

    keys: UInts
    filter: NDArray[np.uint8]
    shift: np.uint64

    @staticmethod
    def of(keys: UInts) -> KeyTable:
        """`keys` are sorted and distinct; they may be memory-mapped."""
        bits = max(12, (FILTER_BITS_PER_KEY * len(keys)).bit_length())
        table = KeyTable(keys, np.zeros(1 << (bits - 3), np.uint8), np.uint64(64 - bits))
        for start in range(0, len(keys), BLOCK):
            some = keys[start : start + BLOCK]
            for slot in (table._first_slot(some), table._second_slot(some)):
                np.bitwise_or.at(table.filter, slot >> 3, np.uint8(1) << (slot & 7).astype(np.uint8))
        return table

    def find(self, hashes: UInts) -> tuple[Ints, Ints]:
        """Positions in `hashes` of those that are keys, and the places of these keys."""
        maybe = np.flatnonzero(self._is_set(self._first_slot(hashes)))
        maybe = maybe[np.flatnonzero(self._is_set(self._second_slot(hashes[maybe])))]
        wanted = hashes[maybe]
        place = np.searchsorted(self.keys, wanted)
        place[place == len(self.keys)] = 0
        known = self.keys[place] == wanted if len(self.keys) else np.zeros(0, np.bool_)
        return maybe[known], place[known]

    def _first_slot(self, hashes: UInts) -> Ints:
        return (hashes >> self.shift).view(np.int64)

    def _second_slot(self, hashes: UInts) -> Ints:
        return (hashes & np.uint64(8 * len(self.filter) - 1)).view(np.int64)

    def _is_set(self, slot: Ints) -> NDArray[np.uint8]:
        return (np.take(self.filter, slot >> 3) >> (slot & 7).astype(np.uint8)) & np.uint8(1)


def spread(starts: Ints, keys: Ints) -> tuple[Ints, Ints]:
    """For each of `keys`, places in rows `starts[key]` to `starts[key + 1]`: which of `keys` and which row, flat."""
    counts = starts[keys + 1] - starts[keys]
    which = np.repeat(np.arange(len(keys)), counts)
    before = np.cumsum(counts) - counts
    return which, np.arange(len(which)) - before[which] + starts[keys][which]


def distinct(columns: NDArray[Number]) -> NDArray[Number]:
    """The different columns [rows, columns], sorted by their first row, then the second and so on."""
    columns = columns[:, np.lexsort(columns[::-1])]
    new = np.ones(columns.shape[1], np.bool_)
    new[1:] = (columns[:, 1:] != columns[:, :-1]).any(axis=0)
    return columns[:, new]
