"""Where evaluation items occur in text: an index of their n-grams of words, and its search.

A text of an item with 13 words or more is sought by its 13-grams, one of 8 to 12 words by its 8-grams, one of 3 to 7
as a whole. Whole texts of 3 or 4 words count only where they stand alone, as a sentence or line: inside longer
sentences such runs are everyday language (docs/decisions.md has the measurement). Fewer words cannot be checked, nor
can a short text with fewer than 3 words that hold a letter, such as 4.3.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from eurolm.artifacts.atomic import replacing
from eurolm.corpus.contamination.ngrams import KeyTable, Runs, distinct, spread
from eurolm.corpus.contamination.queries import Query
from eurolm.corpus.paragraphs import standing_alone
from eurolm.corpus.text.words import Ints, UInts, Words, words_of

LONG, MIDDLE = 13, 8
LEAST, LEAST_ANYWHERE = 3, 5
"""Words of the shortest text that is sought at all, and of the shortest that counts within a sentence."""


class Item(NamedTuple):
    """An item and its task."""

    task: str
    item: str


@dataclass(frozen=True)
class Hits:
    """Flat int64 columns: place of the text in the batch, its words [first, last) that an item repeats, number of
    the item. Sorted by all four, without repeats."""

    text: Ints
    first: Ints
    last: Ints
    item: Ints

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True)
class Entries:
    """Keys (sorted distinct uint64) and, for key i, the rows `starts[i]` to `starts[i + 1]` of the columns."""

    keys: UInts
    starts: Ints
    item: Ints
    length: Ints
    whole: UInts


@dataclass(frozen=True)
class ItemIndex:
    """What is sought: `grams` by n, whole short texts in `short` by their first words."""

    items: list[Item]
    unchecked: list[Item]
    grams: dict[int, Entries]
    short: Entries
    tables: dict[int, KeyTable]

    @staticmethod
    def build(queries: Iterable[Query]) -> ItemIndex:
        """The same for the same queries in the same order."""
        found = list(queries)
        texts = [view for query in found for view in query.views]
        owner = np.repeat(np.arange(len(found)), [len(query.views) for query in found]).astype(np.int64)
        words = words_of(pl.Series(texts, dtype=pl.String))
        counts, runs = words.counts, Runs.of(words.folded)
        with_letters = np.array([any(map(str.isalpha, word)) for word in words.distinct], np.int64)
        short = (words.per_text(with_letters) >= LEAST) & (counts < MIDDLE)
        checkable = np.zeros(len(found), np.bool_)
        checkable[owner[short | (counts >= MIDDLE)]] = True
        grams = {
            LONG: _grams(words, runs, owner, counts >= LONG, LONG),
            MIDDLE: _grams(words, runs, owner, (counts >= MIDDLE) & (counts < LONG), MIDDLE),
        }
        first, last = words.offsets[:-1][short], words.offsets[1:][short]
        entries = _entries(runs.hashes(first, first + LEAST), owner[short], last - first, runs.hashes(first, last))
        named = [Item(query.task, query.item) for query in found]
        unchecked = [item for item, checked in zip(named, checkable, strict=True) if not checked]
        return ItemIndex._with_tables(named, unchecked, grams, entries)

    @staticmethod
    def _with_tables(items: list[Item], unchecked: list[Item], grams: dict[int, Entries], short: Entries) -> ItemIndex:
        tables = {length: KeyTable.of(entries.keys) for length, entries in {**grams, LEAST: short}.items()}
        return ItemIndex(items, unchecked, grams, short, tables)

    def counts(self) -> dict[str, dict[str, int]]:
        """Per task how many items are sought and how many cannot be."""
        result: dict[str, dict[str, int]] = {}
        for name, group in (("items", self.items), ("not_checkable", self.unchecked)):
            for task, _ in group:
                entry = result.setdefault(task, {"items": 0, "not_checkable": 0})
                entry[name] += 1
        return result

    def save(self, path: Path) -> None:
        """One .npz, the same bytes for the same index."""
        names = orjson.dumps([[tuple(item) for item in group] for group in (self.items, self.unchecked)])
        arrays: dict[str, NDArray[np.generic]] = {"names": np.frombuffer(names, np.uint8)}
        for length, entries in {**self.grams, LEAST: self.short}.items():
            arrays |= {f"{length}_{field.name}": getattr(entries, field.name) for field in fields(Entries)}
        with replacing(path) as partial, partial.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)

    @staticmethod
    def load(path: Path) -> ItemIndex:
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            items, unchecked = orjson.loads(stored["names"].tobytes())
            grams = {
                length: Entries(*(stored[f"{length}_{field.name}"] for field in fields(Entries)))
                for length in (LONG, MIDDLE, LEAST)
            }
        short = grams.pop(LEAST)
        return ItemIndex._with_tables(
            [Item(*item) for item in items], [Item(*item) for item in unchecked], grams, short
        )

    def match(self, words: Words, texts: Sequence[str]) -> Hits:
        """Every place in `texts` (whose words are `words`) that repeats an item."""
        runs = Runs.of(words.folded)
        found = [self._gram_hits(words, runs, length) for length in self.grams]
        found.append(self._short_hits(words, runs, texts))
        return Hits(*distinct(np.concatenate(found, axis=1)))

    def _gram_hits(self, words: Words, runs: Runs, length: int) -> Ints:
        where, key = runs.find(length, self.tables[length])
        text, inside = _texts(words, where, where + length)
        which, row = spread(self.grams[length].starts, key[inside])
        text, first = text[inside][which], where[inside][which]
        first -= words.offsets[text]
        return np.stack([text, first, first + length, self.grams[length].item[row]])

    def _short_hits(self, words: Words, runs: Runs, texts: Sequence[str]) -> Ints:
        where, key = runs.find(LEAST, self.tables[LEAST])
        which, row = spread(self.short.starts, key)
        first, last = where[which], where[which] + self.short.length[row]
        text, inside = _texts(words, first, last)
        first, last, text, row = first[inside], last[inside], text[inside], row[inside]
        same = runs.hashes(first, last) == self.short.whole[row]
        first, last, text, row = first[same], last[same], text[same], row[same]
        columns = np.stack([text, first - words.offsets[text], last - words.offsets[text], self.short.item[row]])
        doubtful = (last - first) < LEAST_ANYWHERE
        keep = ~doubtful
        keep[doubtful] = standing_alone(texts, *columns[:3, doubtful])
        return columns[:, keep]


def _texts(words: Words, first: Ints, last: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """The text of each run of words, and whether the run ends within it."""
    text = np.searchsorted(words.offsets, first, side="right") - 1
    return text, last <= words.offsets[text + 1]


def _grams(words: Words, runs: Runs, owner: Ints, chosen: NDArray[np.bool_], length: int) -> Entries:
    """All runs of `length` words in the chosen texts."""
    per_text = words.counts[chosen] - length + 1
    first = np.repeat(words.offsets[:-1][chosen], per_text)
    first += np.arange(len(first)) - np.repeat(np.cumsum(per_text) - per_text, per_text)
    keys = runs.hashes(first, first + length)
    return _entries(keys, np.repeat(owner[chosen], per_text), np.full(len(keys), length), keys)


def _entries(keys: UInts, item: Ints, length: Ints, whole: UInts) -> Entries:
    """Rows sorted by key, whole text and item, without repeats."""
    numbers = (item.astype(np.uint64), length.astype(np.uint64))
    keys, whole, *numbers_ = distinct(np.stack([keys, whole, *numbers]))
    of_item, lengths = (row.astype(np.int64) for row in numbers_)
    every, starts = np.unique(keys, return_index=True)
    return Entries(every, np.append(starts, len(keys)).astype(np.int64), of_item, lengths, whole)
