"""Is model A really better than model B? Tests on the items that both have answered, and the correction for many tests.

What is exchanged between the two models is a whole cluster: under the hypothesis that they are alike, it is chance
which of the two gave which answers to a document. They speak about the choice of items; training again with another
seed would move the figures too, and no test on one pair of models can see that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from eurolm.evaluate.intervals import LEAST_CLUSTERS, NONE, Floats, Interval, ratio_interval, statistic_interval

SCOPE = "items only; one training seed"
"""What the tests speak about; printed with them."""
EXACT_CLUSTERS = 12
"""Up to this many clusters that differ, all 2^n exchanges are counted; beyond, `samples` random ones."""
LEVEL = 0.05
"""A difference is called real below this p-value after Holm's correction."""
CELLS_AT_ONCE = 2**21
"""Exchanges × clusters held at once."""


@dataclass(frozen=True)
class Difference:
    """First model minus second on shared items; `p_value` is two-sided and null below 10 clusters."""

    value: float
    interval: Interval
    p_value: float | None
    items: int
    clusters: int


def mcnemar(first_only: int, second_only: int) -> float:
    """Exact two-sided p-value of McNemar's test: items that only one of the two models got right."""
    from scipy.stats import binomtest

    together = first_only + second_only
    return float(binomtest(first_only, together).pvalue) if together else 1.0


def exchange_p_value(
    first: Floats, second: Floats, value: Callable[[Floats], Floats], samples: int, seed: int
) -> float:
    """Two-sided p-value for `value(first) − value(second)` by exchanging clusters [clusters, k] between the models.

    `value` maps sums [..., k] to a figure [...]. Exact where few clusters differ; else (1 + as extreme) / (1 + samples)
    (Phipson & Smyth 2010), over `samples` random exchanges of a seeded generator.
    """
    differ = (first != second).any(1)
    if not differ.any():
        return 1.0
    fixed = (first[~differ].sum(0), second[~differ].sum(0))
    first, second = first[differ], second[differ]
    observed = abs(float(value(first.sum(0) + fixed[0]) - value(second.sum(0) + fixed[1])))
    exact = len(first) <= EXACT_CLUSTERS
    as_extreme, count = 0, 0
    for exchanged in _exchanges(len(first), samples, seed, exact):
        kept = 1.0 - exchanged
        one = kept @ first + exchanged @ second + fixed[0]
        other = exchanged @ first + kept @ second + fixed[1]
        as_extreme += int((np.abs(value(one) - value(other)) >= observed - 1e-12 * max(1.0, observed)).sum())
        count += len(exchanged)
    return as_extreme / count if exact else (1 + as_extreme) / (1 + count)


def share_difference(
    first: Floats, second: Floats, sizes: Floats, items: Floats, samples: int, seed: int
) -> Difference:
    """Difference of two figures that are points over sizes, from [clusters] each; sizes are those of both models and
    `items` says how many items a cluster has.

    One 0/1 item per cluster is McNemar's case; otherwise clusters are exchanged. The interval is the jackknife
    over clusters of the difference.
    """
    gain = first - second
    value = float(gain.sum() / sizes.sum())
    if len(sizes) < LEAST_CLUSTERS:
        return Difference(value, NONE, None, int(items.sum()), len(sizes))
    if bool((sizes == 1).all()) and set(np.unique(gain)) <= {-1.0, 0.0, 1.0}:
        p_value = mcnemar(int((gain > 0).sum()), int((gain < 0).sum()))
    else:
        columns = [np.stack([points, sizes], 1) for points in (first, second)]
        p_value = exchange_p_value(columns[0], columns[1], lambda sums: sums[..., 0] / sums[..., 1], samples, seed)
    interval = ratio_interval(gain, sizes)
    return Difference(value, interval, p_value, int(items.sum()), len(sizes))


def statistic_difference(
    first: Floats, second: Floats, sizes: Floats, value: Callable[[Floats], Floats], samples: int, seed: int
) -> Difference:
    """Difference of two figures that are no shares, from sums [clusters, k] of each model and items per cluster; the
    interval is the jackknife over clusters of the difference."""
    width = first.shape[1]
    together = np.concatenate([first, second], 1)

    def gain(sums: Floats) -> Floats:
        return value(sums[..., :width]) - value(sums[..., width:])

    difference = float(gain(together.sum(0)))
    items = int(sizes.sum())
    if len(first) < LEAST_CLUSTERS:
        return Difference(difference, NONE, None, items, len(first))
    p_value = exchange_p_value(first, second, value, samples, seed)
    return Difference(difference, statistic_interval(together, sizes, gain), p_value, items, len(first))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number (Holm 1979, Scandinavian Journal of Statistics 6), in the order given."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        corrected[place] = least
    return corrected


def _exchanges(clusters: int, samples: int, seed: int, exact: bool) -> list[Floats]:
    """Rows of 0 (kept) and 1 (exchanged), in blocks [rows, clusters]."""
    if exact:
        numbers = np.arange(2**clusters)[:, None]
        return [((numbers >> np.arange(clusters)) & 1).astype(np.float64)]
    generator = np.random.default_rng(seed)
    step = max(1, CELLS_AT_ONCE // clusters)
    return [
        generator.integers(0, 2, (min(step, samples - start), clusters)).astype(np.float64)
        for start in range(0, samples, step)
    ]
