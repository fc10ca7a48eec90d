"""Paragraphs (non-empty lines) of a batch of texts: which one a word stands in, and texts without some of them.

Numbers of paragraphs are those of the lines of `text.split("\\n")`, from 0.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eurolm.corpus.text.words import WORD, Ints

SENTENCE_END = re.compile('[\n.!?…:;"“”„«»–—]+')
"""What separates sentences, quotations and list entries. A full stop within a number or an abbreviation does as well:
that only makes a short text stand alone more often."""


@dataclass(frozen=True)
class Parts:
    """Consecutive parts of texts that hold whole words. `rows[i]` to `rows[i + 1]` are the parts of text i; part j
    has the words `words[j]` to `words[j + 1]`, counted over the whole batch. Both int64."""

    rows: Ints
    words: Ints

    @staticmethod
    def of(parts: Sequence[Sequence[str]]) -> Parts:
        """From the parts of each text."""
        flat = pl.Series([part for row in parts for part in row], dtype=pl.String)
        rows = np.concatenate([[0], np.cumsum([len(row) for row in parts])]).astype(np.int64)
        return Parts(rows, np.concatenate([[0], np.cumsum(flat.str.count_matches(WORD).to_numpy())]).astype(np.int64))

    def place(self, text: Ints, word: Ints) -> Ints:
        """The part, counted within its text, that holds word number `word` of text number `text`."""
        return np.searchsorted(self.words, self.words[self.rows[text]] + word, side="right") - 1 - self.rows[text]

    def before(self, text: Ints, part: Ints) -> Ints:
        """Words of each text before its part number `part`."""
        return self.words[self.rows[text] + part] - self.words[self.rows[text]]


def touched(texts: Sequence[str], text: Ints, first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Which paragraphs runs of words touch: for each run and each of its paragraphs the run's place and the number of
    the paragraph. `text`, `first`, `last` (int64): place in `texts` and the words [first, last) there."""
    chosen, row = np.unique(text, return_inverse=True)
    split = [texts[at].split("\n") for at in chosen]
    lines = Parts.of(split)
    start, end = lines.place(row, first), lines.place(row, last - 1)
    counts = end - start + 1
    run = np.repeat(np.arange(len(text)), counts)
    line = start[run] + np.arange(len(run)) - (np.cumsum(counts) - counts)[run]
    filled = np.array([bool(one.strip()) for row_lines in split for one in row_lines], np.bool_)
    is_paragraph = filled[lines.rows[row[run]] + line]
    return run[is_paragraph], line[is_paragraph]


def standing_alone(texts: Sequence[str], text: Ints, first: Ints, last: Ints) -> NDArray[np.bool_]:
    """Whether runs of words begin where a sentence or line does and end where one ends. Arguments as in `touched`."""
    chosen, row = np.unique(text, return_inverse=True)
    split = [texts[at].split("\n") for at in chosen]
    lines = Parts.of(split)

    def is_edge(word: Ints, line: Ints) -> NDArray[np.bool_]:
        within = [split[one][at] for one, at in zip(row, line, strict=True)]
        sentences = Parts.of([SENTENCE_END.split(one) for one in within])
        place = word - lines.before(row, line) + sentences.words[sentences.rows[:-1]]
        return sentences.words[np.searchsorted(sentences.words, place)] == place

    return is_edge(first, lines.place(row, first)) & is_edge(last, lines.place(row, last - 1))


def kept_lines(lines: Sequence[str], removed: Container[int]) -> list[int]:
    """Numbers of the lines that stay. A line leaves with the blank lines that follow it, so that no gap stays behind,
    and with the blank lines before it when nothing comes after."""
    kept: list[int] = []
    after_removed = False
    for number, line in enumerate(lines):
        if number in removed:
            after_removed = True
        elif line.strip() or not after_removed:
            kept.append(number)
            after_removed = False
    while after_removed and kept and not lines[kept[-1]].strip():
        kept.pop()
    return kept
