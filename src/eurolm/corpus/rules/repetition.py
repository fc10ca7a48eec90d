"""How much of a text is its own n-grams of words again: Gopher's repetition rules (arXiv 2112.11446, table A1).

The top n-gram's share counts the characters of its occurrences, words joined by spaces; of n-grams equally frequent
the first in the text is taken. The duplicate share goes through the text, words joined by nothing, and jumps over an
n-gram that it has met before. Both are shares of the text's characters, as in datatrove 0.10.1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eurolm.corpus.rules.repeats import Repeats, Runs, runs, spaced
from eurolm.corpus.text.words import Ints, UInts, Words

TOP = (2, 3, 4)
DUPLICATE = (5, 6, 7, 8, 9, 10)
BLOCK_WORDS = 1 << 15
Floats = NDArray[np.float64]

FIGURES: tuple[str, ...] = (
    *(f"top_{n}gram_share" for n in TOP), *(f"duplicate_{n}gram_share" for n in DUPLICATE),
)  # fmt: skip


def measure(words: Words, hashes: UInts, characters: Ints) -> pl.DataFrame:
    """Columns `FIGURES` (Float64); `hashes` of the distinct words, `characters` of each text."""
    counted: dict[str, list[Ints]] = {name: [np.zeros(0, np.int64)] for name in FIGURES}
    apart_hashes = spaced(hashes, words.lengths)
    for texts in _blocks(words.offsets):
        offsets = words.offsets[texts.start : texts.stop + 1] - words.offsets[texts.start]
        apart = runs(words, apart_hashes, texts, gap=1)
        again = None
        for n in TOP:
            # Where n words repeat, so do the first n - 1 of them.
            again = apart.repeats(n, None if again is None else again.places)
            counted[f"top_{n}gram_share"].append(top_characters(apart, again, offsets, n))
        joined = runs(words, hashes, texts, gap=0)
        for n in DUPLICATE:
            counted[f"duplicate_{n}gram_share"].append(duplicate_characters(joined, joined.repeats(n), offsets, n))
    whole = np.maximum(characters, 1)
    return pl.DataFrame({name: np.concatenate(parts) / whole for name, parts in counted.items()})


def _blocks(offsets: Ints) -> Iterator[slice]:
    """Texts of some ten thousand words together: few calls, and what they touch stays in the cache."""
    start = 0
    while start < len(offsets) - 1:
        stop = int(np.searchsorted(offsets, offsets[start] + BLOCK_WORDS, side="right")) - 1
        yield slice(start, max(stop, start + 1))
        start = max(stop, start + 1)


def top_characters(block: Runs, again: Repeats, offsets: Ints, n: int) -> Ints:
    """Occurrences of each text's most frequent n-gram times its characters; 0 for a text without n-grams."""
    found = np.zeros(len(offsets) - 1, np.int64)
    some = np.flatnonzero(np.diff(offsets) >= n)
    count, first = np.ones_like(found), offsets[:-1].copy()
    groups, at, sizes = np.unique(again.groups, return_index=True, return_counts=True)
    text = np.searchsorted(offsets, groups, side="right") - 1
    np.maximum.at(count, text, sizes)
    best = sizes == count[text]
    first[text[best]] = offsets[-1]
    np.minimum.at(first, text[best], again.places[at[best]])
    found[some] = count[some] * block.lengths(n, first[some])
    return found


def duplicate_characters(block: Runs, again: Repeats, offsets: Ints, n: int) -> Ints:
    """Characters of n-grams met before, n words skipped after each.

    Which n-grams count depends on the ones before, so that this goes step by step, over the few that repeat.
    """
    met, free, hits = bytearray(offsets[-1]), 0, []
    # No text ends before the n-gram that was jumped over, so that one pass does for all texts.
    for start in range(0, len(again.places), BLOCK_WORDS):
        part = slice(start, start + BLOCK_WORDS)
        for place, group in zip(again.places[part].tolist(), again.groups[part].tolist(), strict=True):
            if place >= free:
                if met[group]:
                    hits.append(place)
                    free = place + n
                else:
                    met[group] = 1
    places = np.array(hits, np.int64)
    text = np.searchsorted(offsets, places, side="right") - 1
    return np.bincount(text, block.lengths(n, places), len(offsets) - 1).astype(np.int64)
