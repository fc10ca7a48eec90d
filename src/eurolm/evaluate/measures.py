"""What is counted per item, and the figures that follow: one way for every metric, subset and pair of models.

A measure holds a row of numbers per item whose sums over any items give the figure of those items: points and items for
an accuracy, n-gram counts for chrF, true and false positives for F1. So intervals, parts of a task, scores without
contaminated items and tests between models need nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from eurolm.evaluate.intervals import (
    NONE,
    Floats,
    Interval,
    cluster_sums,
    effective_items,
    ratio_interval,
    share_interval,
    statistic_interval,
)
from eurolm.evaluate.paired import Difference, share_difference, statistic_difference
from eurolm.evaluate.results import Figure

Form = Literal["share", "ratio", "macro_f1", "chrf", "bleu"]
"""share: points / size, within 0 and 1 · ratio: top / bottom · macro_f1: true positives, predicted, gold per class ·
chrf, bleu: the counts of `sacrebleu`."""


@dataclass(frozen=True)
class Measure:
    """A metric of a task, item by item; `rows` is [items, k]."""

    name: str
    form: Form
    rows: Floats
    better: Literal["higher", "lower"] = "higher"


def value_of(form: Form) -> Callable[[Floats], Floats]:
    """The function from sums [..., k] to the figure [...]; NaN where nothing can be divided."""
    match form:
        case "share" | "ratio":
            return _ratio
        case "macro_f1":
            return _macro_f1
        case "chrf":
            from eurolm.evaluate.translation import chrf

            return chrf
        case "bleu":
            from eurolm.evaluate.translation import bleu

            return bleu


def figure(measure: Measure, clusters: Sequence[str], chosen: Sequence[bool] | None = None) -> Figure:
    """The figure over the chosen items (all where null) with its interval."""
    keep = np.ones(len(clusters), bool) if chosen is None else np.asarray(chosen, bool)
    rows, names = measure.rows[keep], [name for name, kept in zip(clusters, keep, strict=True) if kept]
    if measure.form == "share":
        counted = rows[:, 1] > 0
        rows, names = rows[counted], [name for name, there in zip(names, counted, strict=True) if there]
    if not names:
        return Figure(None, None, None, 0, 0, None)
    sums, sizes = cluster_sums(rows, names), cluster_sums(np.ones((len(names), 1)), names)[:, 0]
    value = float(value_of(measure.form)(sums.sum(0)))
    if not np.isfinite(value):
        return Figure(None, None, None, len(names), len(sums), None)
    effective = None
    match measure.form:
        case "share":
            interval = share_interval(sums[:, 0], sums[:, 1])
            effective = float(effective_items(sums[:, 0], sums[:, 1])) if len(sums) > 1 else 1.0
        case "ratio":
            interval = ratio_interval(sums[:, 0], sums[:, 1])
        case _:
            interval = _within(statistic_interval(sums, sizes, value_of(measure.form)))
    if not all(end is None or np.isfinite(end) for end in (interval.low, interval.high)):
        interval = NONE
    return Figure(value, interval.low, interval.high, len(names), len(sums), effective)


def difference(first: Measure, second: Measure, clusters: Sequence[str], samples: int, seed: int) -> Difference:
    """First minus second on the same items in the same order."""
    one, other = cluster_sums(first.rows, clusters), cluster_sums(second.rows, clusters)
    sizes = cluster_sums(np.ones((len(clusters), 1)), clusters)[:, 0]
    if first.form in ("share", "ratio") and np.array_equal(one[:, 1], other[:, 1]):
        return share_difference(one[:, 0], other[:, 0], one[:, 1], sizes, samples, seed)
    return statistic_difference(one, other, sizes, value_of(first.form), samples, seed)


def _within(interval: Interval) -> Interval:
    """Cut at 0 and 1, between which these figures lie."""
    if interval.low is None or interval.high is None:
        return interval
    return Interval(max(0.0, interval.low), min(1.0, interval.high))


def _ratio(sums: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def _macro_f1(sums: Floats) -> Floats:
    """Mean F1 of the classes that occur in gold or prediction (scikit-learn's convention)."""
    hits, predicted, gold = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    there = predicted + gold > 0
    scores = 2 * hits / np.where(there, predicted + gold, 1.0)
    return np.asarray((scores * there).sum(-1) / np.maximum(there.sum(-1), 1))
