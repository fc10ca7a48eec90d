"""Intervals: known values, clusters widen them, and they cover what they promise on real per-item results."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from tests.evaluate.coverage import TEXT, pair_results, sentence_results, share_coverage, text_coverage

from eurolm.evaluate.intervals import (
    NONE,
    Interval,
    bayes_laplace,
    cluster_sums,
    effective_items,
    mean_interval,
    ratio_interval,
    share_interval,
    share_intervals,
    statistic_interval,
    wilson,
)

PROMISED = (0.93, 0.97)
ONE_DOCUMENT_DECIDES = {(0.02, 300): 0.905}
"""Where a third of what counts as right stands in one document of 50 pairs, which many draws miss."""


@pytest.mark.parametrize(("right", "items"), [(0, 10), (10, 10), (5, 10), (331, 662), (180, 236)])
def test_one_item_per_cluster_gives_scipys_wilson_interval(right: int, items: int) -> None:
    wanted = stats.binomtest(right, items).proportion_ci(method="wilson")
    points = np.array([1.0] * right + [0.0] * (items - right))
    for low, high in (wilson(right / items, items), share_intervals(points, np.ones(items))):
        assert float(low) == pytest.approx(wanted.low, abs=1e-9)
        assert float(high) == pytest.approx(wanted.high, abs=1e-9)


def test_items_that_repeat_their_document_tell_as_much_as_documents() -> None:
    # 50 documents, 20 right; ten equal items each.
    points, sizes = np.array([10.0] * 20 + [0.0] * 30), np.full(50, 10.0)
    effective = float(effective_items(points, sizes))
    assert 42 < effective < 50
    own, clustered = share_interval(points / 10, sizes / 10), share_interval(points, sizes)
    assert own.low is not None and own.high is not None and clustered.low is not None and clustered.high is not None
    assert clustered.low < own.low < 0.4 < own.high < clustered.high


def test_nothing_seen_is_not_nothing_possible() -> None:
    none = share_interval(np.zeros(20), np.full(20, 10.0))
    assert none.low == 0.0
    assert wilson(0.0, 12)[0] == 0.0 and wilson(1.0, 12)[1] == 1.0
    # As if items of a document were correlated by 0.3: 200 items tell as much as 54.
    assert none.high == pytest.approx(float(bayes_laplace(0.0, 200 / 3.7)[1]))


def test_bayes_laplace_is_the_posterior_of_a_uniform_prior() -> None:
    low, high = bayes_laplace(0.3, 10)
    assert (float(low), float(high)) == pytest.approx(stats.beta.interval(0.95, 4, 8))
    assert bayes_laplace(0.0, 12)[0] == 0.0 and bayes_laplace(1.0, 12)[1] == 1.0


def test_one_document_that_decides_leaves_few_degrees_of_freedom() -> None:
    # 200 items each: 20 documents of 10 at random, or ten of them and one that holds the other half.
    even = np.random.default_rng(3).binomial(10, 0.5, 20).astype(float)
    heavy_points, heavy_sizes = np.append(even[:10], 75.0), np.append(np.full(10, 10.0), 100.0)
    assert float(effective_items(even, np.full(20, 10.0))) > 100
    assert float(effective_items(heavy_points, heavy_sizes)) < 11


def test_documents_alike_by_chance_do_not_make_items_certain() -> None:
    # Exactly half of each document right: without the floor the interval would be a point.
    found = share_interval(np.full(12, 5.0), np.full(12, 10.0))
    assert found.low is not None and found.high is not None
    assert found.low < 0.49 and found.high > 0.51


def test_too_few_clusters_give_no_interval() -> None:
    assert share_interval(np.ones(9), np.full(9, 100.0)) == NONE
    assert ratio_interval(np.ones(9), np.ones(9)) == NONE
    assert statistic_interval(np.ones((9, 2)), np.ones(9), lambda sums: sums[..., 0]) == NONE
    assert mean_interval([0.5, 0.6], [Interval(0.4, 0.6), NONE]) == NONE


def test_equal_documents_give_a_point() -> None:
    found = ratio_interval(np.full(12, 10.0), np.full(12, 5.0))
    assert (found.low, found.high) == (2.0, 2.0)


def test_of_equally_long_documents_the_jackknife_is_students_interval() -> None:
    bits = np.random.default_rng(1).normal(20, 3, 40)
    wanted = stats.t.interval(0.95, 39, bits.mean() / 10, stats.sem(bits) / 10)
    ratio = ratio_interval(bits, np.full(40, 10.0))
    other = statistic_interval(np.stack([bits, np.full(40, 10.0)], 1), np.ones(40), lambda s: s[..., 0] / s[..., 1])
    assert (ratio.low, ratio.high) == pytest.approx(wanted)
    assert (other.low, other.high) == pytest.approx(wanted)


def test_the_interval_of_a_mean_keeps_the_asymmetry_of_its_parts() -> None:
    found = mean_interval([0.5, 0.9], [Interval(0.4, 0.6), Interval(0.7, 0.95)])
    assert found.low == pytest.approx(0.7 - np.hypot(0.1, 0.2) / 2)
    assert found.high == pytest.approx(0.7 + np.hypot(0.1, 0.05) / 2)


def test_sums_over_clusters_do_not_depend_on_the_order_of_items() -> None:
    rows, names = np.arange(12.0).reshape(6, 2), ["b", "a", "b", "c", "a", "b"]
    assert cluster_sums(rows, names).tolist() == [[10.0, 12.0], [14.0, 17.0], [6.0, 7.0]]
    assert cluster_sums(rows[::-1], names[::-1]).tolist() == cluster_sums(rows, names).tolist()


@pytest.mark.parametrize("clusters", [10, 30, 100, 300])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_shares_cover_on_the_quickstarts_pairs(share: float, clusters: int) -> None:
    covered = share_coverage(pair_results("scala-lv"), share, clusters, draws=4000, seed=1)
    # 4,000 draws put 0.7 points around the figure; docs/benchmarks.md has all tasks and models.
    assert ONE_DOCUMENT_DECIDES.get((share, clusters), PROMISED[0] - 0.007) <= covered <= PROMISED[1] + 0.007


@pytest.mark.parametrize("name", list(TEXT))
def test_bits_per_byte_cover_on_50_skewed_documents(name: str) -> None:
    assert PROMISED[0] <= text_coverage(TEXT[name], 50, draws=4000, seed=1) <= PROMISED[1]


@pytest.mark.long
@pytest.mark.parametrize("task", ["scala-lv", "inflection-swap-et"])
@pytest.mark.parametrize("model", ["margin", "untrained_margin"])
@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("clusters", [10, 30, 100, 300])
def test_shares_cover_everywhere(task: str, model: str, equal: bool, share: float, clusters: int) -> None:
    covered = share_coverage(pair_results(task, model, equal), share, clusters, draws=20_000, seed=2)
    assert 0.91 <= covered <= 0.98


@pytest.mark.long
@pytest.mark.parametrize("task", ["ntrex-lv", "ntrex-et", "flores-lv", "flores-et"])
@pytest.mark.parametrize("model", ["trained", "untrained"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("clusters", [10, 30, 100, 300])
def test_shares_cover_on_sentences_of_documents(task: str, model: str, share: float, clusters: int) -> None:
    covered = share_coverage(sentence_results(task, model), share, clusters, draws=20_000, seed=2)
    assert 0.915 <= covered <= 0.98
