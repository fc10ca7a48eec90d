"""The languages within a document: each piece of it is judged by itself.

A piece is a line, or neighbouring short lines together, or a part of a very long line. A document's language is the
one most of its text is in, so a page of two languages gets the greater one and a score that says how great it is, and
a foreign title or footer does no harm. The same verdicts give the share of text in languages that the config does not
name, and the lines to remove.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eurolm.corpus.text.language import SCORE_DIGITS, Detector

SHORT_LINE = 100
"""Characters; shorter lines are judged with their short neighbours."""
PIECE = 250
"""Characters that short lines are gathered to."""
LONG_LINE = 1000
"""Characters; longer lines are cut into equal parts."""
SURE_LETTERS = 40
SURE_SCORE = 0.8
"""A piece is surely in a language from so many letters and such a score on. Measured with py3langid on single
sentences cut to 40 letters (NTREX-128, FLORES-101): none of 2,900 Latvian and Estonian ones is taken for another
language, 0.73 to 0.93 of English, Finnish, Lithuanian and Russian ones are told; of 120 letters 0.99 and more."""
NOT_FOREIGN = frozenset({"zxx", "und"})
"""Answers that name no language: code, tables, undetermined."""


@dataclass(frozen=True)
class Pieces:
    """Pieces of a batch of documents, in order. `document`, `first` and `end` (int64): the document's place in the
    batch and its lines [first, end)."""

    texts: list[str]
    document: NDArray[np.int64]
    first: NDArray[np.int64]
    end: NDArray[np.int64]

    @property
    def characters(self) -> NDArray[np.float64]:
        """Length of each piece."""
        return np.fromiter(map(len, self.texts), np.float64, len(self.texts))


def identify(texts: Sequence[str], detector: Detector, configured: Collection[str]) -> pl.DataFrame:
    """One row per document: `language` (String; null without any letter), `score` (Float64: share of the document's
    text in that language, weighted by probability) and `foreign_share` (Float64: share of its characters in pieces
    that are surely in a language not in `configured`)."""
    pieces = _cut(texts)
    language, score = detector.detect(pieces.texts)
    told = language.is_not_null().to_numpy()
    names = sorted(detector.labels)
    place = language.replace_strict(names, range(len(names)), return_dtype=pl.Int64, default=None).fill_null(0)
    weights = np.zeros((len(texts), len(names)))
    np.add.at(weights, (pieces.document, place.to_numpy()), pieces.characters * score.to_numpy())
    whole = _per_document(texts, pieces, told)
    best = weights.argmax(axis=1)
    share = np.divide(weights.max(axis=1), whole, out=np.zeros(len(texts)), where=whole > 0)
    foreign = _per_document(texts, pieces, _surely_foreign(pieces, language, score, configured))
    every = _per_document(texts, pieces, np.ones(len(told), bool))
    return pl.DataFrame(
        {
            "language": [names[at] if known else None for at, known in zip(best, whole > 0, strict=True)],
            "score": share.round(SCORE_DIGITS),
            "foreign_share": np.divide(foreign, every, out=np.zeros(len(texts)), where=every > 0).round(SCORE_DIGITS),
        },
        schema={"language": pl.String, "score": pl.Float64, "foreign_share": pl.Float64},
    )


def foreign_paragraphs(texts: Sequence[str], detector: Detector, configured: Collection[str]) -> list[list[int]]:
    """Per document the numbers of the lines (of `text.split("\\n")`, from 0) that are surely in a language not in
    `configured`; of a very long line more than half must be."""
    pieces = _cut(texts)
    foreign = _surely_foreign(pieces, *detector.detect(pieces.texts), configured)
    result: list[list[int]] = [[] for _ in texts]
    for place in np.flatnonzero(_mostly(foreign, pieces)):
        result[pieces.document[place]] += range(pieces.first[place], pieces.end[place])
    return result


def _mostly(foreign: NDArray[np.bool_], pieces: Pieces) -> NDArray[np.bool_]:
    """The first piece of every line (or run of short lines) of which more than half is foreign."""
    new = np.ones(len(foreign), bool)
    new[1:] = (np.diff(pieces.document) != 0) | (np.diff(pieces.first) != 0)
    line = np.cumsum(new) - 1
    result = np.zeros(len(foreign), bool)
    result[new] = np.bincount(line, foreign) > 0.5 * np.bincount(line)
    return result


def _surely_foreign(
    pieces: Pieces, language: pl.Series, score: pl.Series, configured: Collection[str]
) -> NDArray[np.bool_]:
    known = [*configured, *NOT_FOREIGN]
    foreign = (~language.is_in(known)).fill_null(False) & (score >= SURE_SCORE)
    result = foreign.to_numpy().copy()
    for at in np.flatnonzero(result):
        result[at] = sum(map(str.isalpha, pieces.texts[at])) >= SURE_LETTERS
    return result


def _per_document(texts: Sequence[str], pieces: Pieces, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Characters of the chosen pieces of each document."""
    return np.bincount(pieces.document, pieces.characters * chosen, len(texts)).astype(np.float64)


def _cut(texts: Sequence[str]) -> Pieces:
    found = [(piece, at, first, end) for at, text in enumerate(texts) for piece, first, end in _pieces(text)]
    columns = [np.array([row[column] for row in found], np.int64) for column in (1, 2, 3)]
    return Pieces([row[0] for row in found], *columns)


def _pieces(text: str) -> Iterator[tuple[str, int, int]]:
    """Text of each piece and its lines [first, end)."""
    lines = text.split("\n")
    first, size = 0, 0
    for number, line in enumerate(lines):
        if len(line) < SHORT_LINE:
            size += len(line)
            if size >= PIECE:
                yield "\n".join(lines[first : number + 1]), first, number + 1
                first, size = number + 1, 0
            continue
        if size:
            yield "\n".join(lines[first:number]), first, number
        parts = -(-len(line) // LONG_LINE)
        step = -(-len(line) // parts)
        for start in range(0, len(line), step):
            yield line[start : start + step], number, number + 1
        first, size = number + 1, 0
    if size:
        yield "\n".join(lines[first:]), first, len(lines)
