"""Where a tokenizer cuts words, each distinct word once, with a space before it as inside a sentence.

A word here is a run of letters, as `eurolm.corpus.text.words` cuts text, without those that hold digits. Punctuation
never stands in it, so a cut is the vocabulary's doing and not the comma's. Cuts are byte offsets: one inside a letter
counts as a cut as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eurolm.corpus.text.words import Words, words_of
from eurolm.tokenizer.scoring.candidates import Candidate

FREQUENT = 10_000
NOT_LETTERS = re.compile(r"[\d_]")


@dataclass(frozen=True)
class LetterWords:
    """The words of a language's documents."""

    words: Words
    counted: NDArray[np.bool_]
    """Per distinct word: whether it holds letters only."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> LetterWords:
        """Words of the documents, in order."""
        words = words_of(pl.Series(texts, dtype=pl.String))
        counted = [any(map(str.isalpha, word)) and not NOT_LETTERS.search(word) for word in words.distinct]
        return cls(words, np.array(counted, np.bool_))

    def per_document(self, flags: NDArray[np.bool_]) -> NDArray[np.number]:
        """Words of each document whose flag (per distinct word) is set."""
        return self.words.per_text((flags & self.counted).astype(np.int64))

    def frequent(self, count: int = FREQUENT) -> list[str]:
        """The most frequent words as written; equal counts in order of spelling."""
        occurrences = np.bincount(self.words.codes, minlength=len(self.words.distinct))
        counts = zip(self.words.distinct, occurrences.tolist(), self.counted.tolist(), strict=True)
        ranked = sorted((-times, word) for word, times, counted in counts if counted)
        return [word for _, word in ranked[:count]]


def word_cuts(candidate: Candidate, words: Sequence[str]) -> list[tuple[int, ...] | None]:
    """Byte offsets inside each word at which a token begins; null for a word that the tokens do not spell."""
    pieces = candidate.opened.pieces
    found: list[tuple[int, ...] | None] = []
    for word, ids in zip(words, candidate.encode_batch([f" {word}" for word in words]), strict=True):
        spelled = [pieces[number] or b"" for number in ids]
        whole = b"".join(spelled)
        before = len(whole) - len(whole.lstrip(b" "))
        wanted = word.encode()
        if whole.strip(b" ") != wanted:
            found.append(None)
            continue
        ends = np.cumsum([len(piece) for piece in spelled]).tolist()
        found.append(tuple(sorted({end - before for end in ends if before < end < before + len(wanted)})))
    return found


def single_token_share(candidate: Candidate, words: Sequence[str]) -> float | None:
    """Share of the words that one token spells; null without words."""
    if not words:
        return None
    return sum(cuts == () for cuts in word_cuts(candidate, words)) / len(words)
