"""All figures of the quality rules for a batch of documents, at once; no threshold is applied here.

Gopher's figures of words (arXiv 2112.11446, table A1) are made here, those of lines and of repetition next door. With
the same words every figure equals that of datatrove 0.10.1. The words differ: runs of letters and digits, where
datatrove's tokenizers count punctuation too; the thresholds in `configs/languages` say where that matters.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eurolm.config.corpus import CorpusConfig, LanguageRules
from eurolm.corpus.rules import custom, lines, repetition
from eurolm.corpus.rules.lines import Floats, share
from eurolm.corpus.rules.signs import Spelling, spelling
from eurolm.corpus.text.words import Ints, Words, words_from

WORD_FIGURES: tuple[str, ...] = (
    "words", "average_word_length", "hash_word_ratio", "ellipsis_word_ratio", "alphabetic_word_share", "stopwords",
    "newline_word_ratio",
)  # fmt: skip

FIGURES: tuple[str, ...] = (*WORD_FIGURES, *lines.FIGURES, *repetition.FIGURES)
"""Columns of eurolm's own figures."""


def figure_names(config: CorpusConfig) -> tuple[str, ...]:
    """Columns that `measure` makes: eurolm's figures, then those of the user's own rules."""
    return FIGURES + tuple(custom.column(rule) for rule in config.rules)


def measure(texts: pl.Series, languages: pl.Series, words: Words, config: CorpusConfig) -> pl.DataFrame:
    """Columns `figure_names(config)` (Float64), rows in order; null where `config.languages` has no such language.

    Depends on `stopwords` and `short_line_characters` of the languages and on the user's own rules, on nothing else in
    the config. Raises ConfigError for a rule of the user's own that does not work.
    """
    known = languages.is_in(list(config.languages)).fill_null(False)
    if not known.all():
        texts, languages, words = texts.filter(known), languages.filter(known), _only(words, known.to_numpy())
    figures = pl.concat(
        [_measured(texts, languages, words, config.languages), custom.measure(texts, languages, config.rules)],
        how="horizontal",
    )
    if known.all():
        return figures
    places = pl.Series(np.where(known, np.cumsum(known) - 1, -1))
    return figures.select(pl.all().gather(places.replace(-1, None)))


def _measured(texts: pl.Series, languages: pl.Series, words: Words, rules: dict[str, LanguageRules]) -> pl.DataFrame:
    characters = texts.str.len_chars().to_numpy().astype(np.int64)
    newlines = _occurrences(texts, "\n")
    short = {language: own.short_line_characters for language, own in rules.items()}
    spelled = spelling(words)
    counted = words.per_text(spelled.counted.astype(np.int64))
    figures: dict[str, Floats] = {
        "words": counted.astype(np.float64),
        "average_word_length": share(words.per_text(np.where(spelled.counted, words.lengths, 0)), counted),
        "hash_word_ratio": share(_occurrences(texts, "#"), words.counts),
        "ellipsis_word_ratio": share(_occurrences(texts, "...") + _occurrences(texts, "…"), words.counts),
        "alphabetic_word_share": share(words.per_text(spelled.lettered.astype(np.int64)), words.counts),
        "stopwords": _stopwords(languages, words, spelled, rules),
        "newline_word_ratio": share(newlines, words.counts),
    }
    limits = languages.replace_strict(short, return_dtype=pl.Int64).to_numpy()
    return pl.concat(
        [
            pl.DataFrame(figures),
            lines.measure(texts, characters, newlines, limits),
            repetition.measure(words, spelled.hashes, characters),
        ],
        how="horizontal",
    )


def _occurrences(texts: pl.Series, sign: str) -> Ints:
    return texts.str.count_matches(sign, literal=True).to_numpy().astype(np.int64)


def _stopwords(languages: pl.Series, words: Words, spelled: Spelling, rules: dict[str, LanguageRules]) -> Floats:
    """Different stopwords of its own language that each text has, as written: `Ja` is not `ja`, as in datatrove."""
    listed = words_from([sorted({word for own in rules.values() for word in own.stopwords})])
    number = np.full(len(words.distinct), -1)
    for place, stopword in enumerate(spelling(listed).hashes):
        number[spelled.hashes == stopword] = place
    numbers = number[words.codes]
    hits = np.flatnonzero(numbers >= 0)
    present = np.zeros((len(words), len(listed.distinct)), np.bool_)
    present[np.searchsorted(words.offsets, hits, side="right") - 1, numbers[hits]] = True
    found = np.zeros(len(words))
    for language, own in rules.items():
        here = (languages == language).to_numpy()
        found[here] = present[here][:, np.isin(listed.distinct, own.stopwords)].sum(axis=1)
    return found


def _only(words: Words, kept: NDArray[np.bool_]) -> Words:
    """The words of some of the texts."""
    offsets = np.concatenate([[0], np.cumsum(words.counts[kept])]).astype(np.int64)
    return Words(words.distinct, words.codes[np.repeat(kept, words.counts)], offsets)
