"""Windows of words that training text shares with held-out text, found without fail and in little memory.

Held-out texts are cut into blocks of L words, 2L − 1 ≤ the window, so every window within them holds a whole block. A
training text is searched for the blocks at every position, and each find is extended left and right against the
held-out words. Blocks whose surroundings are the same as far as a window reaches are verified once: boilerplate in
many held-out documents costs no more than in one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eurolm.artifacts.atomic import replacing
from eurolm.corpus.contamination.ngrams import KeyTable, Runs, distinct, spread
from eurolm.corpus.text.words import Ints, UInts, Words

PAIRS_AT_ONCE = 1 << 18
"""Finds verified in one go: bounds memory where text repeats itself."""


class Windows(NamedTuple):
    """Flat int64 columns: place of the text in the batch, its words [first, last) that held-out text has too; every
    run is at least as long as a window. Runs of one text are in order and may overlap."""

    text: Ints
    first: Ints
    last: Ints


@dataclass(frozen=True)
class HeldoutIndex:
    """`words` (uint64): hashes of all held-out words. Block i of those that share key j stands at word `places[i]` of
    the text with the words [`begins[i]`, `ends[i]`), for i from `starts[j]` to `starts[j + 1]` (int64)."""

    shared_words: int
    words: UInts
    table: KeyTable
    starts: Ints
    places: Ints
    begins: Ints
    ends: Ints

    @staticmethod
    def build(batches: Iterable[Words], shared_words: int, path: Path) -> None:
        """Write the index of all texts to `path`, atomically. What `windows` finds does not depend on their order.

        Memory: about 100 bytes per block of half a window while they are sorted; the words go straight to the file.
        """
        blocks: list[NDArray[np.uint64]] = [np.zeros((5, 0), np.uint64)]
        total = 0
        with replacing(path) as partial, partial.open("wb") as stream:
            for words in batches:
                words.folded.tofile(stream)
                blocks.append(_blocks(words, shared_words, total))
                total += len(words.folded)
            rows = _verified_once(np.concatenate(blocks, axis=1))
            keys, starts = np.unique(rows[0], return_index=True)
            for column in (keys, np.append(starts, rows.shape[1]).astype(np.uint64), *rows[2:]):
                column.tofile(stream)
            np.array([total, len(keys), rows.shape[1], shared_words], np.uint64).tofile(stream)

    @staticmethod
    def open(path: Path) -> HeldoutIndex:
        """A built index, mapped into memory: processes of one machine share it."""
        stored = np.memmap(path, np.uint64, "r")
        total, keys, blocks, shared_words = map(int, stored[-4:])
        edges = np.cumsum([total, keys, keys + 1, blocks, blocks, blocks])
        words, key, *rest = np.split(stored[:-4], edges[:-1])
        return HeldoutIndex(shared_words, words, KeyTable.of(key), *(part.view(np.int64) for part in rest))

    def windows(self, words: Words) -> Windows:
        """All runs of at least `shared_words` words of a text that stand in one held-out text as well."""
        block = _block_words(self.shared_words)
        where, key = Runs.of(words.folded).find(block, self.table)
        text = np.searchsorted(words.offsets, where, side="right") - 1
        inside = where + block <= words.offsets[text + 1]
        where, key, text = where[inside], key[inside], text[inside]
        found: list[NDArray[np.int64]] = []
        counts = np.cumsum(self.starts[key + 1] - self.starts[key])
        for group in np.split(np.arange(len(key)), np.flatnonzero(np.diff(counts // PAIRS_AT_ONCE)) + 1):
            which, row = spread(self.starts, key[group])
            at = group[which]
            first, last = self._extended(words, where[at], text[at], row)
            long = last - first >= self.shared_words
            found.append(distinct(np.stack([text[at], first, last])[:, long]))
        text, first, last = distinct(np.concatenate(found, axis=1))
        return Windows(text, first - words.offsets[text], last - words.offsets[text])

    def _extended(self, words: Words, where: Ints, text: Ints, row: Ints) -> tuple[Ints, Ints]:
        """Words [first, last) of the batch that go on agreeing around the block at `where`, up to a window's reach."""
        block = _block_words(self.shared_words)
        reach = self.shared_words - block
        places = self.places[row]
        room = np.minimum(where - words.offsets[text], places - self.begins[row])
        left = _agreeing(words.folded, where - 1, self.words, places - 1, np.minimum(room, reach), -1)
        room = np.minimum(words.offsets[text + 1] - where, self.ends[row] - places) - block
        right = _agreeing(words.folded, where + block, self.words, places + block, np.minimum(room, reach), 1)
        return where - left, where + block + right


def _block_words(shared_words: int) -> int:
    return (shared_words + 1) // 2


def _agreeing(one: UInts, at: Ints, other: UInts, there: Ints, room: Ints, step: int) -> Ints:
    """How many words agree one after another, from `at` and `there` on, at most `room`."""
    agreed = np.zeros(len(at), np.int64)
    going = np.flatnonzero(room > 0)
    while len(going):
        distance = step * agreed[going]
        going = going[one[at[going] + distance] == other[there[going] + distance]]
        agreed[going] += 1
        going = going[agreed[going] < room[going]]
    return agreed


def _blocks(words: Words, shared_words: int, before: int) -> NDArray[np.uint64]:
    """Rows key, surroundings, place, begin, end of the text; a column per block. `before`: words of earlier batches."""
    block = _block_words(shared_words)
    reach = shared_words - block
    # Texts shorter than a window share none.
    per_text = np.where(words.counts >= shared_words, words.counts // block, 0)
    text = np.repeat(np.arange(len(words)), per_text)
    number = np.arange(len(text)) - np.repeat(np.cumsum(per_text) - per_text, per_text)
    begin, end = words.offsets[:-1][text], words.offsets[1:][text]
    place = begin + number * block
    runs = Runs.of(words.folded)
    first, last = np.maximum(place - reach, begin), np.minimum(place + block + reach, end)
    # Different lengths on either side are different surroundings, even where the words are alike.
    lengths = ((place - first) * (shared_words + 1) + last - place).astype(np.uint64)
    around = runs.hashes(first, last) + lengths * np.uint64(0xBF58476D1CE4E5B9)
    rows = [runs.hashes(place, place + block), around, place + before, begin + before, end + before]
    return np.stack([row.astype(np.uint64) for row in rows])


def _verified_once(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Blocks sorted by key, surroundings and place; of those alike in the first two, the first."""
    rows = rows[:, np.lexsort(rows[2::-1])]
    new = np.ones(rows.shape[1], np.bool_)
    new[1:] = (rows[:2, 1:] != rows[:2, :-1]).any(axis=0)
    return rows[:, new]
