"""95 % intervals that say how far a figure could be off if other documents had been drawn.

Items of one document and texts of one book are alike, so what varies is the cluster, never the item. Shares of items
that stand alone take Wilson's interval, shares where items share a document the Bayes-Laplace interval at an effective
number of items, everything else (bits per byte, chrF, macro-F1) the jackknife that leaves out a cluster at a time, with
Student's t. None draws random numbers. docs/benchmarks.md has the coverage, docs/decisions.md what was tried besides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Z = 1.959963984540054
"""97.5 % quantile of the normal distribution."""
LEAST_CLUSTERS = 10
"""Below this many clusters an interval would be a guess, and none is given."""
UNSEEN_CORRELATION = 0.3
"""Correlation within clusters that is assumed where every item came out alike, so that none can be estimated."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; both ends null where it could not be had."""

    low: float | None
    high: float | None


NONE = Interval(None, None)


def cluster_numbers(clusters: Sequence[str]) -> NDArray[np.int64]:
    """Number of each item's cluster, from 0, in order of name."""
    return np.unique(np.asarray(clusters), return_inverse=True)[1].astype(np.int64)


def cluster_sums(rows: Floats, clusters: Sequence[str]) -> Floats:
    """Rows [items, k] summed over each cluster: [clusters, k]."""
    owner = cluster_numbers(clusters)
    sums = np.zeros((int(owner.max(initial=-1)) + 1, rows.shape[1]))
    np.add.at(sums, owner, rows)
    return sums


def wilson(share: Floats | float, items: Floats | float) -> tuple[Floats, Floats]:
    """Ends of Wilson's score interval of a share of `items` > 0 (Wilson 1927, JASA 22), within 0 and 1."""
    share, items = np.asarray(share, np.float64), np.asarray(items, np.float64)
    middle = (share + Z * Z / (2 * items)) / (1 + Z * Z / items)
    half = Z / (1 + Z * Z / items) * np.sqrt(share * (1 - share) / items + Z * Z / (4 * items * items))
    # Exactly 0 and 1 at the ends: rounding would leave a low end of 1e-17, which is above a baseline of 0.
    low, high = np.where(share <= 0, 0.0, middle - half), np.where(share >= 1, 1.0, middle + half)
    return np.maximum(0.0, low), np.minimum(1.0, high)


def bayes_laplace(share: Floats | float, items: Floats | float) -> tuple[Floats, Floats]:
    """Ends of the central 95 % of the posterior of a share of `items` > 0 under a uniform prior; 0 and 1 for a share
    of 0 and 1, as Wilson's. With him the best of eight for clustered items (Franco, Little, Louis & Slud 2019, Journal
    of Survey Statistics and Methodology 7); `items` may be a fraction.
    """
    from scipy.stats import beta

    share, items = np.asarray(share, np.float64), np.asarray(items, np.float64)
    right, wrong = share * items + 1, (1 - share) * items + 1
    low, high = beta.ppf(0.025, right, wrong), beta.ppf(0.975, right, wrong)
    return np.where(share <= 0, 0.0, low), np.where(share >= 1, 1.0, high)


def effective_items(points: Floats, sizes: Floats) -> Floats:
    """How many independent items tell as much as these clustered ones: [...] from [..., clusters].

    Items / design effect, the variance between clusters over the binomial one (Kish 1965, Survey Sampling). The
    variance is corrected for each cluster's own leverage (CR2: Bell & McCaffrey 2002, Survey Methodology 28) and, as in
    Korn & Graubard 1998 (Survey Methodology 24), by Student's t. A design effect below 1 counts as one seen with one
    more degree of freedom at which it was 1: whoever is right in exactly half of each document by chance has not shown
    that all documents are like that. Where all points are 0 or all full nothing can be estimated and
    `UNSEEN_CORRELATION` is assumed.
    """
    from scipy.stats import t

    items = sizes.sum(-1)
    share = points.sum(-1) / items
    squares = (points - share[..., None] * sizes) ** 2
    leverage = np.minimum(sizes / items[..., None], 1 - 1e-9)
    binomial = items * share * (1 - share)
    seen = binomial > 1e-12
    effect = (squares / (1 - leverage)).sum(-1) / np.where(seen, binomial, 1.0)
    freedom = _effect_freedom(points, sizes, squares)
    effect = np.where(effect < 1, (freedom * effect + 1) / (freedom + 1), effect) * (t.ppf(0.975, freedom) / Z) ** 2
    unseen = 1 + UNSEEN_CORRELATION * np.maximum((sizes**2).sum(-1) / items - 1, 0)
    return np.where((sizes == 1).all(-1), items, items / np.where(seen, effect, unseen))


def _effect_freedom(points: Floats, sizes: Floats, squares: Floats) -> Floats:
    """Degrees of freedom of the design effect [...], at least 1: 1 / Σ (influence of each cluster on its logarithm)².

    By Satterthwaite (1946, Biometrics Bulletin 2) they are 2 / the variance of that logarithm, which the influences
    understate where a few clusters hold most of it: half as many. Items that stand alone have no influence, because
    the share alone fixes their variance; ten documents of ten items and one of a hundred have five.
    """
    items, right = sizes.sum(-1), points.sum(-1)

    def part(values: Floats, total: Floats) -> Floats:
        return values / np.where(total > 1e-12, total, 1.0)[..., None]

    influence = part(squares, squares.sum(-1)) + part(sizes, items)
    influence = influence - part(points, right) - part(sizes - points, items - right)
    return np.asarray(np.clip(1 / np.maximum((influence**2).sum(-1), 1e-6), 1.0, None))


def share_intervals(points: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Ends [...] of the interval of points / sizes, summed over clusters [..., clusters]; points within 0 and sizes.

    Wilson's where each cluster is one item, else Bayes-Laplace at `effective_items`.
    """
    share, items = points.sum(-1) / sizes.sum(-1), effective_items(points, sizes)
    alone = (sizes == 1).all(-1)
    (low, high), (own_low, own_high) = bayes_laplace(share, items), wilson(share, items)
    return np.where(alone, own_low, low), np.where(alone, own_high, high)


def share_interval(points: Floats, sizes: Floats) -> Interval:
    """`share_intervals` of one figure from [clusters]; null below 10 clusters."""
    if len(sizes) < LEAST_CLUSTERS:
        return NONE
    low, high = share_intervals(points, sizes)
    return Interval(float(low), float(high))


def ratio_intervals(tops: Floats, bottoms: Floats) -> tuple[Floats, Floats]:
    """Ends [...] of the interval of sum(tops) / sum(bottoms) from [..., clusters].

    The figure ± t × its jackknife error, by linearisation with leverage (CR3). The degrees of freedom are those of as
    many clusters of equal size as tell as much (Kish's (Σm)² / Σm²), less one: one book may be longer than all others.
    """
    from scipy.stats import t

    total, count = bottoms.sum(-1), tops.shape[-1]
    ratio = tops.sum(-1) / total
    leverage = np.minimum(bottoms / total[..., None], 1 - 1e-9)
    residuals = (tops - ratio[..., None] * bottoms) / (1 - leverage)
    error = np.sqrt((residuals**2).sum(-1) * (count - 1) / count) / total
    half = t.ppf(0.975, _freedom(bottoms)) * error
    return ratio - half, ratio + half


def ratio_interval(tops: Floats, bottoms: Floats) -> Interval:
    """`ratio_intervals` of one figure from [clusters]; null below 10 clusters."""
    if len(tops) < LEAST_CLUSTERS or not bottoms.any():
        return NONE
    low, high = ratio_intervals(tops, bottoms)
    return Interval(float(low), float(high))


def statistic_interval(sums: Floats, sizes: Floats, value: Callable[[Floats], Floats]) -> Interval:
    """Interval of `value(sums over clusters)` for a figure that is no ratio; `value` maps [..., k] to [...].

    `sums` is [clusters, k], `sizes` the items in each. The same jackknife, by leaving each cluster out. Null below 10
    clusters.
    """
    from scipy.stats import t

    count = len(sums)
    if count < LEAST_CLUSTERS:
        return NONE
    total = sums.sum(0)
    without = value(total - sums)
    error = float(np.sqrt(((without - without.mean()) ** 2).sum() * (count - 1) / count))
    middle, half = float(value(total)), float(t.ppf(0.975, _freedom(sizes))) * error
    return Interval(middle - half, middle + half)


def _freedom(sizes: Floats) -> Floats:
    return np.maximum(sizes.sum(-1) ** 2 / (sizes**2).sum(-1) - 1, 1.0)


def mean_interval(values: Sequence[float], intervals: Sequence[Interval]) -> Interval:
    """Interval of the mean of independent figures from their own intervals (MOVER: Zou & Donner 2008, Statistics in
    Medicine 27), which keeps their asymmetry; null where any has none."""
    below, above = 0.0, 0.0
    for value, interval in zip(values, intervals, strict=True):
        if interval.low is None or interval.high is None:
            return NONE
        below += (value - interval.low) ** 2
        above += (interval.high - value) ** 2
    if not values:
        return NONE
    mean = math.fsum(values) / len(values)
    return Interval(mean - math.sqrt(below) / len(values), mean + math.sqrt(above) / len(values))
