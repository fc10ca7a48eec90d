"""Intervals: known values, clusters widen them, and they cover what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from eurolm.evaluate.pairs import accuracy, pair_score
from eurolm.evaluate.statistics import Interval, effective_items, ratio_interval, wilson
from eurolm.scoring.continuations import TextScore
from eurolm.tasks.items import Item
from eurolm.tasks.load import load_task


@pytest.mark.parametrize(("right", "items"), [(0, 10), (10, 10), (5, 10), (331, 662), (180, 236)])
def test_wilson_is_scipys(right: int, items: int) -> None:
    wanted = stats.binomtest(right, items).proportion_ci(method="wilson")
    found = wilson(right / items, items)
    assert found.low == pytest.approx(wanted.low, abs=1e-9)
    assert found.high == pytest.approx(wanted.high, abs=1e-9)


def test_no_items_no_interval() -> None:
    assert wilson(0.5, 0) == Interval(None, None)
    assert accuracy([], []).value is None


def test_effective_items_of_copies_is_the_number_of_clusters() -> None:
    generator = np.random.default_rng(1)
    points = generator.integers(0, 2, 400).astype(float)
    names = [str(place) for place in range(400)]
    assert effective_items(points, names) == pytest.approx(400, rel=0.01)
    fivefold = effective_items(np.repeat(points, 5), np.repeat(names, 5))
    assert fivefold == pytest.approx(400, rel=0.01)
    assert effective_items([1.0] * 30, [str(place % 15) for place in range(30)]) == 30


def test_accuracy_counts_ties_half_and_gives_no_interval_for_few_clusters() -> None:
    found = accuracy([1, 0.5, 0, 0.5], ["a", "b", "c", "d"])
    assert (found.value, found.ties, found.items, found.clusters) == (0.5, 2, 4, 4)
    assert found.low is None
    assert found.high is None
    assert accuracy([1, 0] * 5, [str(place) for place in range(10)]).low is not None


def test_ratio_interval_needs_ten_clusters_and_is_seeded() -> None:
    generator = np.random.default_rng(2)
    size = generator.integers(100, 5000, 60)
    bits = size * generator.normal(2.5, 0.3, 60)
    names = [f"g{place % 9}" for place in range(60)]
    assert ratio_interval(bits, size, names, 200, 1) == Interval(None, None)
    names = [f"g{place % 20}" for place in range(60)]
    first, again, other = (ratio_interval(bits, size, names, 200, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first.low is not None
    assert first.high is not None
    assert first.low < bits.sum() / size.sum() < first.high


def test_equal_documents_give_a_point() -> None:
    found = ratio_interval([10.0] * 12, [5] * 12, [str(place) for place in range(12)], 100, 1)
    assert found == Interval(2.0, 2.0)


def test_studentised_bootstrap_covers_skewed_text() -> None:
    """50 documents of log-normal length whose cost per byte depends on it, drawn 300 times from a large population."""
    generator = np.random.default_rng(3)
    size = np.exp(generator.normal(7, 1.2, 200_000))
    bits = size * (2.0 + 0.4 * generator.standard_normal(len(size)) + 0.5 * (size < 500))
    truth = bits.sum() / size.sum()
    names = [str(place) for place in range(50)]
    covered = 0
    for draw in range(300):
        chosen = generator.integers(0, len(size), 50)
        found = ratio_interval(bits[chosen], size[chosen], names, 200, draw)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    # The naive percentile bootstrap covers about 0.90 here.
    assert 0.92 <= covered / 300 <= 0.99


def scored(good: float, bad: float, good_bytes: int, bad_bytes: int, more: int = 0) -> tuple[TextScore, TextScore]:
    return TextScore(good, good_bytes, 3), TextScore(bad, bad_bytes, 3 + more)


def test_pair_figures_by_hand() -> None:
    task = load_task("scala-lv")
    found = [Item(str(place), str(place), choices=("g", "b"), gold=0) for place in range(5)]
    own = [
        scored(-10, -12, 20, 20, 1),  # right, and one token fewer
        scored(-10, -9, 20, 20),  # wrong
        scored(-10, -10, 20, 20),  # tie
        scored(-10, -9, 20, 10),  # wrong summed, right per byte (−0.5 against −0.9)
        scored(-10, -12, 10, 30),  # right summed, wrong per byte; the good side is shorter
    ]
    before = [scored(-1, -2, good.bytes, bad.bytes) for good, bad in own]
    figures = pair_score(task, found, own, before)
    assert (figures.headline.value, figures.headline.items, figures.headline.ties) == (0.5, 3, 1)
    assert figures.all.value == pytest.approx(2.5 / 5)
    assert figures.per_byte.value == pytest.approx((1 + 0 + 0.5 + 1 + 0) / 5)
    assert figures.baselines.shortest == 0.5
    assert figures.baselines_all.shortest == pytest.approx((0.5 * 3 + 0 + 1) / 5)
    assert figures.baselines.untrained == 1.0
    assert figures.baselines.fewest_tokens == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert figures.above_baseline is None
    assert math.isclose(figures.baselines.uniform, 0.5)
