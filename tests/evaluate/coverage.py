"""How often intervals cover and tests err, by drawing documents again and again from real results.

`data/quickstart-scores.json` holds what the quickstart's model and its untrained state gave each pair and each held-out
document. A share of p is had by moving the threshold on the real differences of log-probability, so that the clusters,
their sizes and what items of one document have in common stay real.

    python -m tests.evaluate.coverage      prints the tables of docs/benchmarks.md
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eurolm.evaluate.intervals import Floats, ratio_intervals, share_intervals
from eurolm.evaluate.paired import LEVEL, share_difference

DATA = json.loads((Path(__file__).parent / "data" / "quickstart-scores.json").read_text())
TASKS = ("scala-lv", "inflection-swap-et")
CLUSTERS, SHARES = (10, 30, 100, 300), (0.02, 0.5, 0.98)


@dataclass(frozen=True)
class Items:
    """Differences of log-probability per item, and the number of the document each comes from."""

    margin: Floats
    cluster: NDArray[np.int64]


def pair_results(task: str, model: str = "margin", equal: bool = True) -> Items:
    """Real results of a task: of `margin` (trained) or `untrained_margin`, on pairs of equal length or on all."""
    found = DATA["pairs"][task]
    keep = np.array(found["equal_length"]) >= equal
    return Items(np.array(found[model])[keep], np.unique(np.array(found["cluster"])[keep], return_inverse=True)[1])


def thresholded(items: Items, share: float) -> tuple[Floats, Floats]:
    """Points and sizes per cluster when that share of all items counts as right."""
    # Ties are broken by place, so that the share is met.
    margin = items.margin + 1e-9 * np.arange(len(items.margin))
    right = (margin > np.quantile(margin, 1 - share)).astype(float)
    return np.bincount(items.cluster, right), np.bincount(items.cluster).astype(float)


def share_coverage(items: Items, share: float, clusters: int, draws: int, seed: int) -> float:
    """Share of draws of so many documents whose interval holds the share of all."""
    points, sizes = thresholded(items, share)
    drawn = np.random.default_rng(seed).integers(0, len(sizes), (draws, clusters))
    low, high = share_intervals(points[drawn], sizes[drawn])
    truth = points.sum() / sizes.sum()
    return float(np.mean((low <= truth) & (truth <= high)))


def lognormal(spread: float, count: int = 200_000) -> tuple[Floats, Floats]:
    """(bits, bytes) of documents of log-normal length whose cost per byte depends on their length."""
    generator = np.random.default_rng(3)
    size = np.exp(generator.normal(7, spread, count))
    return size * (2.0 + 0.4 * generator.standard_normal(count) + 0.5 * (size < 500)), size


def real_text(language: str, longest_share: float) -> tuple[Floats, Floats]:
    """(bits, bytes) of the quickstart's held-out groups, without those longer than that share of the text: no sample
    of 50 can speak for a book that is longer than all others together."""
    found = DATA["text"][language]
    bits = np.bincount(found["cluster"], found["bits"])
    size = np.bincount(found["cluster"], found["bytes"]).astype(float)
    keep = size <= longest_share * size.sum()
    return bits[keep], size[keep]


TEXT = {
    "log-normal 0.8": lognormal(0.8),
    "log-normal 1.2": lognormal(1.2),
    "log-normal 1.6": lognormal(1.6),
}


def text_coverage(text: tuple[Floats, Floats], documents: int, draws: int, seed: int) -> float:
    """Share of draws of so many documents whose interval holds the bits per byte of all."""
    bits, size = text
    drawn = np.random.default_rng(seed).integers(0, len(size), (draws, documents))
    low, high = ratio_intervals(bits[drawn], size[drawn])
    truth = bits.sum() / size.sum()
    return float(np.mean((low <= truth) & (truth <= high)))


def false_positives(task: str, equal: bool, share: float, clusters: int, draws: int, seed: int) -> float:
    """Share of draws of so many documents in which the test tells two models apart that are equally good: the trained
    and the untrained one, each at its own threshold, right in the same share of all items."""
    found = [thresholded(pair_results(task, model, equal), share) for model in ("margin", "untrained_margin")]
    (first, sizes), (second, _) = found
    drawn = np.random.default_rng(seed).integers(0, len(sizes), (draws, clusters))
    p_values = [
        share_difference(first[one], second[one], sizes[one], sizes[one], 1000, seed + place).p_value
        for place, one in enumerate(drawn)
    ]
    return float(np.mean([p_value is not None and p_value < LEVEL for p_value in p_values]))


def main() -> None:
    """Print the coverage of every cell in per cent, then the false positives."""
    print("results", *(f"p{share}/{clusters}" for share in SHARES for clusters in CLUSTERS), sep=" | ")
    for task in TASKS:
        for model in ("margin", "untrained_margin"):
            for equal in (True, False):
                items = pair_results(task, model, equal)
                cells = [
                    f"{100 * share_coverage(items, share, clusters, 20_000, 2):.1f}"
                    for share in SHARES
                    for clusters in CLUSTERS
                ]
                name = f"{task}, {'trained' if model == 'margin' else 'untrained'}, {'equal' if equal else 'all'}"
                print(name, *cells, sep=" | ")
    real = {f"{code} groups ≤ {share:.0%}": real_text(code, share) for code in ("lv", "et") for share in (1, 0.05)}
    for name, text in {**TEXT, **real}.items():
        print(name, *(f"{100 * text_coverage(text, count, 20_000, 2):.1f}" for count in (10, 50, 200)), sep=" | ")
    for task in TASKS:
        for equal in (True, False):
            cells = [f"{100 * false_positives(task, equal, share, clusters, 4000, 3):.1f}"
                     for share in (0.1, 0.5, 0.9) for clusters in (10, 30, 100)]  # fmt: skip
            print(f"{task}, {'equal' if equal else 'all'}", *cells, sep=" | ")


if __name__ == "__main__":
    main()
