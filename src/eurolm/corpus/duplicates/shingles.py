"""Word n-grams of documents as 64-bit numbers, their MinHash signatures, and their exact Jaccard similarity.

A shingle's number is a polynomial of the hashes of its lower-cased words, mixed. xxh3 is fixed for all versions and
machines, unlike the hash of a dataframe library, so stored signatures stay comparable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import rensa
from numpy.typing import NDArray

from eurolm.corpus.text.mixing import mix64
from eurolm.corpus.text.words import Ints, UInts, Words

FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Shingles:
    """Flat hashes (uint64) and row offsets (int64, one more than documents)."""

    hashes: UInts
    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def row(self, index: int) -> UInts:
        """Hashes of one document."""
        return self.hashes[self.offsets[index] : self.offsets[index + 1]]


def shingle(words: Words, length: int) -> Shingles:
    """Shingles of `length` consecutive words; a shorter text has one shingle of all it has, an empty one none."""
    per_row = np.where(words.counts == 0, 0, np.maximum(words.counts - length + 1, 1))
    offsets = np.concatenate([[0], np.cumsum(per_row)]).astype(np.int64)
    return Shingles(mix64(_roll(words, offsets, length)), offsets)


def _roll(words: Words, offsets: Ints, length: int) -> UInts:
    """Polynomial over `length` consecutive hashes; texts shorter than that take what they have."""
    flat = np.concatenate([words.folded, np.zeros(length, np.uint64)])
    everywhere = np.zeros(len(words.folded), np.uint64)
    for step in range(length):
        everywhere = everywhere * FACTOR + flat[step : step + len(everywhere)]
    first = np.arange(offsets[-1]) + np.repeat(words.offsets[:-1] - offsets[:-1], np.diff(offsets))
    value = everywhere[first]
    for text in np.flatnonzero((words.counts > 0) & (words.counts < length)):
        short = np.uint64(0)
        with np.errstate(over="ignore"):
            for word in words.folded[words.offsets[text] : words.offsets[text + 1]]:
                short = short * FACTOR + word
        value[offsets[text]] = short
    return value


def signatures(shingles: Shingles, hashes: int, seed: int) -> NDArray[np.uint32]:
    """MinHash signatures [documents, hashes] (uint32) by rensa's flat kernel."""
    if not len(shingles):
        return np.zeros((0, hashes), np.uint32)
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        shingles.hashes, shingles.offsets.astype(np.uint64), hashes, seed
    )
    return np.array(matrix.to_rows(), dtype=np.uint32).reshape(len(shingles), hashes)


def band_keys(signature: NDArray[np.uint32], rows: int) -> UInts:
    """Keys [documents, bands] of consecutive `rows` hashes each; hashes left over at the end are not used."""
    documents, hashes = signature.shape
    bands = hashes // rows
    key = np.zeros((documents, bands), np.uint64)
    for row in range(rows):
        key = mix64(key * FACTOR + signature[:, row : bands * rows : rows].astype(np.uint64) + np.uint64(1))
    return key


def jaccard(one: UInts, other: UInts) -> float:
    """Exact Jaccard similarity of two sets given as sorted distinct hashes; 0 when either is empty."""
    if not len(one) or not len(other):
        return 0.0
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)
