"""Intervals that say how far a figure could be off: Wilson for accuracies, studentised bootstrap for bits per byte.

Texts of one book and items of one document are alike, so documents, not texts, are what could have been others: both
intervals count clusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z = 1.959963984540054
"""97.5 % quantile of the normal distribution."""

LEAST_CLUSTERS = 10
"""Below this many clusters an interval would be a guess, and none is given."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; both ends null where it could not be had."""

    low: float | None
    high: float | None


def wilson(share: float, items: float) -> Interval:
    """Wilson score interval of a share of `items` (Wilson 1927, JASA 22)."""
    if items <= 0:
        return Interval(None, None)
    middle = (share + Z * Z / (2 * items)) / (1 + Z * Z / items)
    half = Z / (1 + Z * Z / items) * math.sqrt(share * (1 - share) / items + Z * Z / (4 * items * items))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def effective_items(points: Sequence[float], clusters: Sequence[str]) -> float:
    """How many independent items would tell as much as these clustered ones; at most their number.

    Items × binomial variance / variance between clusters (Kish's design effect; used with Wilson's interval as in
    Korn & Graubard 1998, Survey Methodology 24).
    """
    values = np.asarray(points, np.float64)
    count, mean = len(values), float(values.mean()) if len(values) else 0.0
    _, owner = np.unique(np.asarray(clusters), return_inverse=True)
    groups = int(owner.max()) + 1 if count else 0
    residuals = np.bincount(owner, values - mean, minlength=groups) if count else np.zeros(0)
    between = float((residuals**2).sum()) * groups / max(groups - 1, 1)
    binomial = count * mean * (1 - mean)
    return count * min(1.0, binomial / between) if between > 0 else float(count)


def ratio_interval(
    numerators: Sequence[float], denominators: Sequence[float], clusters: Sequence[str], samples: int, seed: int
) -> Interval:
    """Interval of sum(numerators) / sum(denominators) by studentised bootstrap over clusters.

    Each of `samples` resamples draws whole clusters and is divided by its own standard error (Efron & Tibshirani 1993,
    chapter 12.5; the standard error of a ratio by linearisation), which keeps skewed text from giving intervals that
    are too short. Resamples without spread are left out. Null below 10 clusters.
    """
    _, owner = np.unique(np.asarray(clusters), return_inverse=True)
    groups = int(owner.max()) + 1 if len(owner) else 0
    if groups < LEAST_CLUSTERS:
        return Interval(None, None)
    tops = np.bincount(owner, np.asarray(numerators, np.float64), minlength=groups)
    bottoms = np.bincount(owner, np.asarray(denominators, np.float64), minlength=groups)
    value, error = _ratio_and_error(tops, bottoms)
    generator = np.random.default_rng(seed)
    deviations = []
    for _ in range(samples):
        drawn = generator.integers(0, groups, groups)
        again, spread = _ratio_and_error(tops[drawn], bottoms[drawn])
        if spread > 0:
            deviations.append((again - value) / spread)
    if error == 0 or not deviations:
        return Interval(value, value)
    below, above = np.quantile(deviations, (0.025, 0.975))
    return Interval(float(value - above * error), float(value - below * error))


def _ratio_and_error(tops: np.ndarray, bottoms: np.ndarray) -> tuple[float, float]:
    total = bottoms.sum()
    ratio = tops.sum() / total
    residuals = tops - ratio * bottoms
    count = len(tops)
    return float(ratio), float(np.sqrt((residuals**2).sum() * count / (count - 1)) / total)
