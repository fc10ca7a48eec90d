"""BPE training that starts from words already cut into tokens: the next merges after those that a tokenizer has.

The same greedy choice as any BPE trainer: the most frequent pair, ties to the lower ids. A pair's occurrences all arise
in the one merge that makes the later of its two tokens, and then only become fewer, so its last known weight is an
upper bound: the pair on top of the heap is weighed anew, and taken if it still stands on top. No other bookkeeping is
needed, and all steps but the heap are numpy over the occurrences of one pair.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Words:
    """Distinct words as token ids: word i is `ids[starts[i]:starts[i + 1]]` (int64) and weighs `weights[i]` (int64)."""

    ids: Ints
    starts: Ints
    weights: Ints


@dataclass(frozen=True)
class Merge:
    """`left` and `right` become `token`; they stood together with this weight when it was chosen."""

    left: int
    right: int
    token: int
    weight: int


def learn(words: Words, ids: range, least: int, accept: Callable[[Merge], bool]) -> list[Merge]:
    """A merge for each of `ids`, in the order in which they apply; fewer when no pair weighs `least` any more.

    A pair that `accept` refuses is out for good, and what it would have blocked is free to merge.
    """
    line = _Line(words, ids.stop)
    places: dict[int, Ints] = {}
    heap: list[tuple[int, int]] = []

    def note(pairs: Iterator[tuple[int, Ints, int]]) -> None:
        for key, found, weight in pairs:
            if weight >= least:
                places[key] = found
                heapq.heappush(heap, (-weight, key))

    note(line.pairs())
    merges: list[Merge] = []
    while heap and len(merges) < len(ids):
        bound, key = heapq.heappop(heap)
        left, right = divmod(key, line.size)
        found = line.occurrences(left, right, places.pop(key))
        valid = line.apart(found) if left == right else found
        weight = int(line.weights[valid].sum())
        if least <= weight < -bound:
            places[key] = found
            heapq.heappush(heap, (-weight, key))
        elif weight >= least and accept(merge := Merge(left, right, ids[len(merges)], weight)):
            merges.append(merge)
            note(line.apply(merge.token, valid))
    return merges


class _Line:
    """All words in one line of tokens, linked to their neighbours within a word; -1 is nothing."""

    def __init__(self, words: Words, size: int) -> None:
        """`size`: more than the greatest id there will be."""
        self.size = size
        self.tokens = words.ids.copy()
        lengths = np.diff(words.starts)
        self.weights = np.repeat(words.weights, lengths)
        self.after = np.arange(1, len(self.tokens) + 1)
        self.before = np.arange(-1, len(self.tokens) - 1)
        self.after[words.starts[1:] - 1] = -1
        self.before[words.starts[:-1]] = -1

    def pairs(self) -> Iterator[tuple[int, Ints, int]]:
        """(key, places, weight) of every pair; the key is left * size + right."""
        return self._grouped(np.flatnonzero(self.after >= 0))

    def occurrences(self, left: int, right: int, places: Ints) -> Ints:
        """Those of the places where the pair still stands."""
        places = places[self.tokens[places] == left]
        places = places[self.after[places] >= 0]
        return places[self.tokens[self.after[places]] == right]

    def apart(self, places: Ints) -> Ints:
        """Of overlapping occurrences (aaa) the first."""
        kept, last = [], -1
        for place, following in zip(places.tolist(), self.after[places].tolist(), strict=True):
            if place != last:
                kept.append(place)
                last = following
        return np.array(kept, np.int64)

    def apply(self, token: int, places: Ints) -> Iterator[tuple[int, Ints, int]]:
        """Replace the pair at these places by `token`; (key, places, weight) of the pairs that arise."""
        gone = self.after[places]
        following = self.after[gone]
        self.tokens[places] = token
        self.tokens[gone] = -1
        self.after[places] = following
        self.after[gone] = -1
        self.before[following[following >= 0]] = places[following >= 0]
        lefts = self.before[places]
        lefts = lefts[lefts >= 0]
        # Two of the new tokens side by side are one pair, not two: it is found from its left.
        lefts = lefts[self.tokens[lefts] != token]
        return self._grouped(np.concatenate([lefts, places[following >= 0]]))

    def _grouped(self, places: Ints) -> Iterator[tuple[int, Ints, int]]:
        if not len(places):
            return
        keys = self.tokens[places] * self.size + self.tokens[self.after[places]]
        order = np.argsort(keys, kind="stable")
        keys, places = keys[order], places[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        ends = np.append(starts[1:], len(keys))
        weights = np.add.reduceat(self.weights[places], starts)
        for key, start, end, weight in zip(
            keys[starts].tolist(), starts.tolist(), ends.tolist(), weights.tolist(), strict=True
        ):
            yield key, places[start:end], weight
