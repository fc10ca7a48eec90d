"""The words of a batch of texts, each distinct word stored once.

Running text repeats its words, so what is known about a word (its hash, its length, whether it has a letter) is worked
out once per distinct word and gathered by number. A word is a run of letters and digits; tests that compare with other
programs bring words of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

Ints = NDArray[np.int64]
UInts = NDArray[np.uint64]
WORD = r"\w+"


@dataclass(frozen=True)
class Words:
    """`codes` (int32, one per word, texts one after another) are places in `distinct`; text i has the words
    `offsets[i]` to `offsets[i + 1]` (int64)."""

    distinct: list[str]
    codes: NDArray[np.int32]
    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def counts(self) -> Ints:
        """Words per text."""
        return np.diff(self.offsets)

    @cached_property
    def lengths(self) -> Ints:
        """Characters of each distinct word."""
        return np.fromiter((len(word) for word in self.distinct), np.int64, len(self.distinct))

    @cached_property
    def folded(self) -> UInts:
        """xxh3-64 of each word lower-cased, texts one after another: the same for all versions and machines, unlike
        the hash of a dataframe library, so that stored numbers stay comparable."""
        hashes = [xxhash.xxh3_64_intdigest(word.lower().encode(errors="surrogatepass")) for word in self.distinct]
        return np.array(hashes, np.uint64)[self.codes] if hashes else np.zeros(0, np.uint64)

    def per_text(self, values: NDArray[np.number]) -> NDArray[np.number]:
        """Sum over the words of each text of a value given per distinct word; 0 for a text without words."""
        total = np.concatenate([[0], np.cumsum(values[self.codes])])
        return total[self.offsets[1:]] - total[self.offsets[:-1]]


def words_of(texts: pl.Series) -> Words:
    """Runs of letters and digits, as written. Null has no words."""
    return _words(texts.str.extract_all(WORD).fill_null([]))


def words_from(lists: Sequence[Sequence[str]]) -> Words:
    """Words that somebody else has split."""
    return _words(pl.Series(lists, dtype=pl.List(pl.String)))


def _words(lists: pl.Series) -> Words:
    counts = lists.list.len().to_numpy().astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if not offsets[-1]:
        return Words([], np.zeros(0, np.int32), offsets)
    encoded = lists.filter(lists.list.len() > 0).explode().to_arrow().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    return Words(encoded.dictionary.to_pylist(), codes, offsets)
