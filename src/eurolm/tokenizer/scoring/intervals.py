"""How far a figure could be off: the same resampled documents for every tokenizer and every figure.

Whole groups of documents are drawn with replacement (percentile bootstrap, Efron & Tibshirani 1993, chapter 13). A
figure is a formula over sums of columns, so one draw serves all of them, and the difference of two tokenizers is taken
within each draw: what makes a text costly for both cancels. Below 10 groups an interval would
be a guess, and none is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_GROUPS = 10
SAMPLES = 1000
SEED = 1
DRAWS_AT_ONCE = 50

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval, and how it differs from the first tokenizer's; null where it cannot be had."""

    value: float | None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    beyond: bool | None = None
    """Whether the difference is beyond its interval: 0 lies outside of it."""


@dataclass(frozen=True)
class Estimate:
    """A figure before it is compared: its value and its value in each resample (null: too few groups)."""

    value: float | None
    samples: Floats | None = None


@dataclass(frozen=True)
class Resampled:
    """Sums of columns over all documents, and over each resample of them."""

    totals: dict[str, float]
    samples: dict[str, Floats] | None
    groups: int

    def ratio(self, over: str, under: str) -> Estimate:
        """Sum of one column over that of another; null where the latter is 0."""
        if not self.totals[under]:
            return Estimate(None)
        value = self.totals[over] / self.totals[under]
        if self.samples is None:
            return Estimate(value)
        below = self.samples[under]
        drawn = np.divide(self.samples[over], below, out=np.full(len(below), np.nan), where=below != 0)
        return Estimate(value, drawn)

    def shifted(self, value: float, influence: str) -> Estimate:
        """A smooth figure whose change with the documents drawn is the sum of their influences (delta method)."""
        return Estimate(value, None if self.samples is None else value + self.samples[influence])


def resample(
    columns: Mapping[str, NDArray[np.number]], groups: Sequence[str], samples: int = SAMPLES, seed: int = SEED
) -> Resampled:
    """Draw groups of documents; `columns` hold one number per document."""
    _, owner = np.unique(np.asarray(groups), return_inverse=True)
    count = int(owner.max()) + 1 if len(owner) else 0
    table = np.stack([np.bincount(owner, column.astype(np.float64), minlength=count) for column in columns.values()], 1)
    totals = dict(zip(columns, table.sum(0).tolist(), strict=True))
    if count < LEAST_GROUPS:
        return Resampled(totals, None, count)
    generator = np.random.default_rng(seed)
    drawn = np.empty((samples, table.shape[1]))
    for start in range(0, samples, DRAWS_AT_ONCE):
        size = min(DRAWS_AT_ONCE, samples - start)
        picks = generator.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        weights = np.bincount(picks.ravel(), minlength=size * count).reshape(size, count)
        drawn[start : start + size] = weights @ table
    return Resampled(totals, dict(zip(columns, drawn.T, strict=True)), count)


def compared(estimates: Sequence[Estimate]) -> list[Figure]:
    """Each estimate as a figure; all but the first with their paired difference to it."""
    return [_figure(one, estimates[0] if place else None) for place, one in enumerate(estimates)]


def _figure(own: Estimate, first: Estimate | None) -> Figure:
    low, high = _middle(own.samples)
    if first is None or own.value is None or first.value is None:
        return Figure(own.value, low, high)
    apart = None if own.samples is None or first.samples is None else own.samples - first.samples
    least, most = _middle(apart)
    beyond = None if least is None or most is None else least > 0 or most < 0
    return Figure(own.value, low, high, own.value - first.value, least, most, beyond)


def _middle(samples: Floats | None) -> tuple[float | None, float | None]:
    if samples is None or np.isnan(samples).any():
        return None, None
    low, high = np.quantile(samples, (0.025, 0.975))
    return float(low), float(high)
