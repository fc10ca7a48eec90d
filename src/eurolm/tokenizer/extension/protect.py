"""Keeping other languages' words as they are cut.

A merge that is appended to a vocabulary changes a word only where its pair stands side by side in the word as the base
cuts it. So the pairs in protected words are refused, and while they are, those words cannot change at all; what lies
beside them is free to merge in another order. Few pairs are given up: names and slips of the pen occur in every text,
and each would forbid a pair for good. Their words may make up two in a thousand, of word forms and of running words,
and one pair no more than a fiftieth of that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from eurolm.tokenizer.extension.base import Base, bare, encoded
from eurolm.tokenizer.extension.learn import Ints
from eurolm.tokenizer.extension.texts import Text
from eurolm.tokenizer.extension.weigh import pieces_of
from eurolm.tokenizer.extension.words import in_line

WORD = re.compile(r"\w(?:.*\w)?", re.DOTALL)
GIVEN_UP = 2e-3
OF_ONE_PAIR = 1 / 50
EXAMPLES = 20


class Protection:
    """The pairs of protected words, and which words were given up so far."""

    def __init__(self, base: Base, texts: Mapping[str, Text]) -> None:
        self.pieces: Counter[str] = Counter()
        for text in texts.values():
            strings = text.strings
            self.pieces.update(pieces_of(base, strings))
            self.pieces.update(pieces_of(base, _alone(base, words_in(strings))))
        ordered = sorted(self.pieces)
        ids, starts = in_line(encoded(bare(base.state["model"]), ordered))
        self._owner = np.repeat(np.arange(len(ordered)), np.diff(starts))
        self._counts = np.array([self.pieces[piece] for piece in ordered], np.int64)
        self._places = _places_by_pair(ids, self._owner)
        self._whole = {piece: number for number, piece in enumerate(ordered)} if base.ignores_merges else {}
        self._given_up = np.zeros(len(ordered), bool)
        self.refused: list[str] = []

    def allows(self, left: int, right: int, text: str) -> bool:
        """Whether the pair may merge to `text`. With `ignore_merges` a piece that is a token is taken as that,
        whatever pairs it has."""
        found = [self._owner[self._places[left, right]]] if (left, right) in self._places else []
        if text in self._whole:
            found.append(np.array([self._whole[text]]))
        if not found or self._spends(np.unique(np.concatenate(found))):
            return True
        self.refused.append(text)
        return False

    def _spends(self, words: Ints) -> bool:
        """Give the words up if that is little enough."""
        words = words[~self._given_up[words]]
        forms, tokens = len(self._counts) * GIVEN_UP, self._counts.sum() * GIVEN_UP
        cost = self._counts[words].sum()
        gone = self._counts[self._given_up]
        if len(words) > forms * OF_ONE_PAIR or cost > tokens * OF_ONE_PAIR:
            return False
        if len(gone) + len(words) > forms or gone.sum() + cost > tokens:
            return False
        self._given_up[words] = True
        return True


def _places_by_pair(ids: Ints, owner: Ints) -> dict[tuple[int, int], Ints]:
    places = np.flatnonzero(owner[1:] == owner[:-1])
    if not len(places):
        return {}
    places = places[np.lexsort((ids[places + 1], ids[places]))]
    left, right = ids[places], ids[places + 1]
    starts = np.flatnonzero(np.concatenate([[True], (left[1:] != left[:-1]) | (right[1:] != right[:-1])]))
    pairs = zip(left[starts].tolist(), right[starts].tolist(), strict=True)
    return dict(zip(pairs, np.split(places, starts[1:]), strict=True))


def words_in(strings: Mapping[str, int]) -> Counter[str]:
    """The words alone, without the signs around them."""
    found: Counter[str] = Counter()
    for string, count in strings.items():
        if match := WORD.search(string):
            found[match[0]] += count
    return found


def _alone(base: Base, words: Mapping[str, int]) -> dict[str, int]:
    """Words as they stand in a text, and as they open one."""
    spaced = {f" {word}": count for word, count in words.items()}
    return spaced if base.prefix else {**spaced, **words}


def changed(before: Tokenizer, after: Tokenizer, prefix: str, text: Text) -> dict[str, Any]:
    """How many words of a text the two tokenizers cut differently, in the middle of a sentence, and the most frequent
    of them. `prefix`: what the tokenizers put before a text themselves."""
    words = words_in(text.strings)
    ordered = sorted(words, key=lambda word: (-words[word], word))
    given = ordered if prefix else [f" {word}" for word in ordered]
    pairs = zip(ordered, encoded(before, given), encoded(after, given), strict=True)
    different = [(word, old, new) for word, old, new in pairs if old != new]
    running, forms = sum(words.values()), len(words)
    return {
        "words": running,
        "word_forms": forms,
        "words_changed": sum(words[word] for word, _, _ in different),
        "word_forms_changed": len(different),
        "word_forms_longer": sum(len(new) > len(old) for _, old, new in different),
        "examples": [
            {"word": word, "before": _shown(before, old), "after": _shown(after, new)}
            for word, old, new in different[:EXAMPLES]
        ],
    }


def _shown(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    return [str(tokenizer.id_to_token(number)) for number in ids]
