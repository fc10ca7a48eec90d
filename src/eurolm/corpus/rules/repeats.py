"""Equal things found by 64-bit hashes, and hashes of runs of words.

The hash of a string is the polynomial Σ v(cₖ)·Bᵏ mod 2⁶⁴, B odd. Prefix sums of it give the hash of any run of words
with one subtraction and one product, and a run hashes like the string its words make, whatever their borders: "a" +
"bc" is "ab" + "c". Each text multiplies its hashes by an odd number of its own, so that only runs of one text meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from eurolm.corpus.text.mixing import mix64
from eurolm.corpus.text.words import Ints, UInts, Words

BASE = 0x9E3779B97F4A7C15
INVERSE = pow(BASE, -1, 1 << 64)
LOW_BITS = 16
MAX_TABLE_BITS = 22


@dataclass(frozen=True)
class Repeats:
    """Places whose hash occurs more than once (int64, ascending), and for each the last place with the same hash, which
    names the group of equal ones."""

    places: Ints
    groups: Ints

    def firsts(self) -> Ints:
        """For each place the first of its group."""
        first = np.empty(self.groups.max(initial=-1) + 1, np.int64)
        first[self.groups[::-1]] = self.places[::-1]
        return first[self.groups]


def repeats(hashes: UInts) -> Repeats:
    """Two different strings share a hash once in 2⁶⁴.

    Every hash writes its place into a table and reads who wrote last: itself, an equal one, or another one that fell
    into the same bucket, in which case it tries again among the few that did.
    """
    bits = min(max(len(hashes).bit_length() + 1, 8), MAX_TABLE_BITS)
    table = np.empty(1 << bits, np.int64)
    groups = np.full(len(hashes), -1)
    rest, trying, shift = np.arange(len(hashes)), hashes, 64 - bits
    while len(rest):
        buckets = ((trying >> np.uint64(shift)) & np.uint64((1 << bits) - 1)).view(np.int64)
        table[buckets] = rest
        last = table[buckets]
        equal = hashes[last] == trying
        again = np.flatnonzero(equal & (last != rest))
        group = last[again]
        groups[rest[again]] = groups[group] = group
        other = np.flatnonzero(~equal)
        rest, trying, shift = rest[other], trying[other], max(shift - bits, 0)
    places = np.flatnonzero(groups >= 0)
    return Repeats(places, groups[places])


def mix(numbers: UInts) -> UInts:
    """splitmix64 of each number: neighbours come out unlike each other."""
    return mix64((numbers + np.uint64(1)) * np.uint64(BASE))


def powers(base: int, exponents: Ints) -> UInts:
    """base ** exponents mod 2⁶⁴, from two small tables."""
    greatest = int(exponents.max(initial=0))
    low = _table(base, 1 << LOW_BITS)
    if greatest < len(low):
        return low[exponents]
    high = _table(pow(base, 1 << LOW_BITS, 1 << 64), 1 << (greatest >> LOW_BITS).bit_length())
    return low[exponents & ((1 << LOW_BITS) - 1)] * high[exponents >> LOW_BITS]


@cache
def _table(base: int, size: int) -> UInts:
    table = np.full(size, base, np.uint64)
    table[0] = 1
    return np.multiply.accumulate(table)


def word_hashes(points: NDArray[np.uint32], offsets: Ints) -> UInts:
    """Hash of each word given by its code points; a piece at a time, so that a word of any length is welcome."""
    sums = np.zeros(len(offsets), np.uint64)
    total = np.zeros(1, np.uint64)
    for start in range(0, len(points), 1 << LOW_BITS):
        places = np.arange(start, min(start + (1 << LOW_BITS), len(points)))
        terms = mix(points[places].astype(np.uint64)) * powers(BASE, places)
        running = np.cumsum(terms) + total
        inside = slice(*np.searchsorted(offsets, (start + 1, places[-1] + 2)))
        sums[inside] = running[offsets[inside] - start - 1]
        total = running[-1:]
    return (sums[1:] - sums[:-1]) * powers(INVERSE, offsets[:-1])


@dataclass(frozen=True)
class Runs:
    """Runs of words of some texts. `sums` and `ends` [words + 1], `unrolled` and `left` [words]."""

    sums: UInts
    ends: Ints
    unrolled: UInts
    left: Ints
    gap: int

    def repeats(self, n: int, among: Ints | None = None) -> Repeats:
        """Where the same n words of the same text begin more than once; of the places `among`, or of all."""
        places = np.flatnonzero(self.left >= n) if among is None else among[self.left[among] >= n]
        found = repeats((self.sums[places + n] - self.sums[places]) * self.unrolled[places])
        return Repeats(places[found.places], places[found.groups])

    def lengths(self, n: int, places: Ints) -> Ints:
        """Characters of the n words from `places` on, joined."""
        return self.ends[places + n] - self.ends[places] - self.gap


def spaced(hashes: UInts, lengths: Ints) -> UInts:
    """Hashes of words with a space after them."""
    return hashes + mix(np.array([ord(" ")], np.uint64)) * powers(BASE, lengths)


def runs(words: Words, hashes: UInts, texts: slice, gap: int) -> Runs:
    """Of the words of `texts`; `hashes` are those of the distinct words, `spaced` where there is a `gap` of 1."""
    offsets = words.offsets[texts.start : texts.stop + 1]
    codes = words.codes[offsets[0] : offsets[-1]]
    ends = np.concatenate([[0], np.cumsum(words.lengths[codes] + gap)])
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes[codes] * powers(BASE, ends[:-1]))])
    counts = np.diff(offsets)
    salt = mix(np.arange(len(counts), dtype=np.uint64)) | np.uint64(1)
    left = np.repeat(offsets[1:] - offsets[0], counts) - np.arange(len(codes))
    return Runs(sums, ends, powers(INVERSE, ends[:-1]) * np.repeat(salt, counts), left, gap)
