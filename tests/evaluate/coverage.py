"""How often intervals cover and tests err, by drawing documents again and again from real results.

`data/quickstart-scores.json` holds what the quickstart's model and its untrained state gave each pair and each held-out
document, `data/quickstart-sentences.json` the bits per byte of single sentences of documents. A share of p is had by
moving the threshold on the real differences of log-probability or bits per byte, so that the clusters, their sizes and
what items of one document have in common stay real.

    python -m tests.evaluate.coverage      prints the tables of docs/benchmarks.md
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eurolm.evaluate.intervals import Floats, bayes_laplace, ratio_intervals, share_intervals
from eurolm.evaluate.paired import LEVEL, share_difference

DATA = json.loads((Path(__file__).parent / "data" / "quickstart-scores.json").read_text())
SENTENCES = json.loads((Path(__file__).parent / "data" / "quickstart-sentences.json").read_text())["sentences"]
TASKS = ("scala-lv", "inflection-swap-et")
FITTED = ("scala-lv", "flores-lv", "ntrex-et", "estner-v1-et")
"""Tasks on which the choices among intervals were made; the others only report."""
CLUSTERS, SHARES = (10, 30, 100, 300), (0.02, 0.5, 0.98)


@dataclass(frozen=True)
class Items:
    """Difference of log-probability or bits per byte of each item, and the number of the document each comes from."""

    margin: Floats
    cluster: NDArray[np.int64]


def pair_results(task: str, model: str = "margin", equal: bool = True) -> Items:
    """Real results of a task: of `margin` (trained) or `untrained_margin`, on pairs of equal length or on all."""
    found = DATA["pairs"][task]
    keep = np.array(found["equal_length"]) >= equal
    return Items(np.array(found[model])[keep], np.unique(np.array(found["cluster"])[keep], return_inverse=True)[1])


def sentence_results(task: str, model: str) -> Items:
    """Bits per byte of each sentence: of the `trained` or the `untrained` model."""
    found = SENTENCES[task]
    return Items(np.array(found[model]), np.array(found["cluster"]))


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


def known_effect_coverage(items: Items, share: float, clusters: int, draws: int, seed: int) -> float:
    """The same if the design effect were known instead of estimated from each draw: what no method can much exceed."""
    points, sizes = thresholded(items, share)
    drawn = np.random.default_rng(seed).integers(0, len(sizes), (draws, clusters))
    found, truth = points[drawn].sum(-1) / sizes[drawn].sum(-1), points.sum() / sizes.sum()
    low, high = bayes_laplace(found, truth * (1 - truth) / float(np.mean((found - truth) ** 2)))
    return float(np.mean((low <= truth) & (truth <= high)))


def without_largest(items: Items, share: float, clusters: int, draws: int, seed: int) -> tuple[float, float]:
    """Draws from all documents but the largest: share of intervals that hold the share of these, and that of all."""
    points, sizes = thresholded(items, share)
    rest = sizes < sizes.max()
    drawn = np.random.default_rng(seed).integers(0, int(rest.sum()), (draws, clusters))
    low, high = share_intervals(points[rest][drawn], sizes[rest][drawn])
    own, truth = points[rest].sum() / sizes[rest].sum(), points.sum() / sizes.sum()
    return float(np.mean((low <= own) & (own <= high))), float(np.mean((low <= truth) & (truth <= high)))


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


def all_results() -> dict[str, Items]:
    """Every set of results by its name: eight of pairs, twelve of sentences."""
    pairs = {
        f"{task}, {'trained' if model == 'margin' else 'untrained'}, {'equal' if equal else 'all'}": pair_results(
            task, model, equal
        )
        for task in TASKS
        for model in ("margin", "untrained_margin")
        for equal in (True, False)
    }
    sentences = {
        f"{task}, {model}": sentence_results(task, model) for task in SENTENCES for model in ("trained", "untrained")
    }
    return pairs | sentences


def main() -> None:
    """Print the coverage of every cell in per cent, then the false positives."""
    print("results", *(f"p{share}/{clusters}" for share in SHARES for clusters in CLUSTERS), sep=" | ")
    for name, items in all_results().items():
        cells = [(share, clusters) for share in SHARES for clusters in CLUSTERS]
        label = f"{name} (fitted)" if name.startswith(FITTED) else name
        print(label, *(f"{100 * share_coverage(items, *cell, 20_000, 2):.1f}" for cell in cells), sep=" | ")
        known = [100 * known_effect_coverage(items, *cell, 20_000, 2) for cell in cells]
        print(f"  design effect known: {min(known):.1f} to {max(known):.1f}")
    for equal, clusters in ((True, 300), (False, 100), (False, 300)):
        own, truth = without_largest(pair_results("scala-lv", equal=equal), 0.02, clusters, 20_000, 2)
        print(f"scala-lv, equal={equal}, {clusters} without the largest: own {own:.1%}, of all {truth:.1%}")
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
