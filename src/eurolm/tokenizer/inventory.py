"""Counts of all languages as one table, and what weights make of them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eurolm.errors import ConfigError
from eurolm.tokenizer.counts import Counts

RESOLUTION = 1_000_000
"""The greatest weight becomes this integer; a count times it stays far below 2⁶³."""


@dataclass(frozen=True)
class WeightedWords:
    """Integer-weighted counts of distinct pre-tokens. One occurrence in the heaviest language counts `unit`."""

    words: list[tuple[str, int]]
    unit: int


@dataclass(frozen=True)
class Inventory:
    """Distinct pre-tokens, in an order fixed by the counts, and these as int64 of shape (words, languages)."""

    words: list[str]
    counts: NDArray[np.int64]
    languages: tuple[str, ...]

    def weighted(self, weights: Mapping[str, float]) -> WeightedWords:
        """Counts added up over languages, each times its weight as an integer; equal weights all become 1.

        Raises ConfigError for a weight below 1 / (2 × RESOLUTION) of the greatest.
        """
        multipliers = _multipliers({language: weights[language] for language in self.languages})
        summed = self.counts @ np.array(multipliers, np.int64)
        return WeightedWords(list(zip(self.words, summed.tolist(), strict=True)), max(multipliers))


def read_inventory(counts: Counts) -> Inventory:
    """The counts of all languages side by side."""
    tables = [
        counts.table(language).with_columns(pl.lit(number, pl.Int32).alias("language"))
        for number, language in enumerate(counts.languages)
    ]
    long = pl.concat(tables)
    words = long.select("word").unique(maintain_order=True).with_row_index("row")
    places = long.join(words, on="word")
    matrix = np.zeros((words.height, len(tables)), np.int64)
    matrix[places["row"].to_numpy(), places["language"].to_numpy()] = places["count"].to_numpy()
    return Inventory(words["word"].to_list(), matrix, tuple(counts.languages))


def check_weights(weights: Mapping[str, float], languages: Mapping[str, object]) -> None:
    """Raise ConfigError for a weight that is not positive or is of a language without text."""
    for language, weight in weights.items():
        if language not in languages:
            nearest = difflib.get_close_matches(language, languages, n=1) or sorted(languages)
            raise ConfigError(
                f"tokenizer.weights.{language} = {weight}: the corpus has no text in {language!r}, only in "
                f"{', '.join(sorted(languages))}. Nearest: {nearest[0]}."
            )
        if not 0 < weight < math.inf:
            raise ConfigError(
                f"tokenizer.weights.{language} = {weight}: a weight is a positive number. To leave a language out, "
                "leave its sources out of the corpus."
            )


def _multipliers(weights: Mapping[str, float]) -> list[int]:
    greatest = max(weights.values())
    integers = [round(RESOLUTION * weight / greatest) for weight in weights.values()]
    for (language, weight), integer in zip(weights.items(), integers, strict=True):
        if not integer:
            raise ConfigError(
                f"tokenizer.weights.{language} = {weight:g} is less than 1/{2 * RESOLUTION:,} of the greatest weight, "
                f"{greatest:g}: its text would not count. Raise it, or leave its sources out of the corpus."
            )
    return [integer // math.gcd(*integers) for integer in integers]
