"""Rules of the user's own: a dotted path to a function that gives one figure per document."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from eurolm.config.corpus import CustomRule
from eurolm.errors import ConfigError


def column(rule: CustomRule) -> str:
    """Name of the rule's figure among the measured attributes; `own.` keeps it apart from eurolm's."""
    return f"own.{rule.name}"


def measure(texts: pl.Series, languages: pl.Series, rules: Sequence[CustomRule]) -> pl.DataFrame:
    """A Float64 column per rule. Raises ConfigError when a function is missing, fails, or gives anything else than one
    number per document."""
    if not rules:
        return pl.DataFrame()
    given, told = texts.to_list(), languages.to_list()
    return pl.DataFrame({column(rule): _figures(rule, load(rule), given, told) for rule in rules})


def load(rule: CustomRule) -> Callable[..., Any]:
    """The rule's function. Raises ConfigError when there is none."""
    module, _, name = rule.function.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"corpus.rules: {rule.name}: {rule.function} cannot be imported ({error}). Install the package "
            "that has it, or put the directory of its module on PYTHONPATH."
        ) from error
    if not callable(function):
        raise ConfigError(f"corpus.rules: {rule.name}: {rule.function} is no function, but {function!r}.")
    return function  # type: ignore[no-any-return]


def _figures(rule: CustomRule, function: Callable[..., Any], texts: list[str], languages: list[str]) -> pl.Series:
    what = f"corpus.rules: {rule.name}: {rule.function}"
    if not texts:
        return pl.Series([], dtype=pl.Float64)
    try:
        figures = np.asarray(function(texts, languages), np.float64)
    except Exception as error:
        raise ConfigError(f"{what} failed or gave something else than numbers: {error}.") from error
    if figures.shape != (len(texts),):
        raise ConfigError(
            f"{what} gave figures of shape {figures.shape} for {len(texts)} documents: give one number for each."
        )
    wrong = np.flatnonzero(np.isnan(figures))
    if len(wrong):
        raise ConfigError(
            f"{what} gave no number for {len(wrong)} of {len(texts)} documents, first for "
            f"{texts[wrong[0]][:80]!r}: give every document a figure, such as 0."
        )
    return pl.Series(figures)
