"""Paired tests: known values, exactness, false positives on real results, and correction for several tests."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from tests.evaluate.coverage import false_positives

from eurolm.evaluate.measures import value_of
from eurolm.evaluate.paired import exchange_p_value, holm, mcnemar, share_difference, statistic_difference


def test_mcnemar_is_the_binomial_test_of_what_differs() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(15, 4) == pytest.approx(stats.binomtest(15, 19).pvalue)


def test_single_items_are_tested_by_mcnemar() -> None:
    first, second = np.array([1.0] * 15 + [0.0] * 4 + [1.0] * 60), np.array([0.0] * 15 + [1.0] * 4 + [1.0] * 60)
    found = share_difference(first, second, np.ones(79), np.ones(79), 1000, 1)
    assert found.p_value == pytest.approx(mcnemar(15, 4))
    assert found.value == pytest.approx(11 / 79)
    assert found.interval.low is not None and found.interval.high is not None
    assert 0 < found.interval.low < found.value < found.interval.high


def test_few_clusters_are_exchanged_in_every_way() -> None:
    generator = np.random.default_rng(2)
    gain = generator.normal(0.4, 1, 11)
    first, second = np.stack([gain, np.ones(11)], 1), np.stack([np.zeros(11), np.ones(11)], 1)
    totals = [abs(float(np.dot(signs, gain))) for signs in itertools.product((-1, 1), repeat=11)]
    wanted = np.mean([total >= abs(gain.sum()) - 1e-12 for total in totals])
    assert exchange_p_value(first, second, value_of("ratio"), 100, 1) == pytest.approx(wanted)


def test_many_clusters_agree_with_the_t_test() -> None:
    gain = np.random.default_rng(4).normal(0.1, 1, 200)
    first, second = np.stack([gain, np.ones(200)], 1), np.stack([np.zeros(200), np.ones(200)], 1)
    found = exchange_p_value(first, second, value_of("ratio"), 20_000, 1)
    assert found == pytest.approx(stats.ttest_1samp(gain, 0).pvalue, rel=0.3)
    assert found == exchange_p_value(first, second, value_of("ratio"), 20_000, 1)


def test_figures_that_are_no_shares_are_compared_too() -> None:
    generator = np.random.default_rng(5)
    gold = generator.integers(0, 3, 300)
    good = np.where(generator.random(300) < 0.7, gold, generator.integers(0, 3, 300))
    poor = np.where(generator.random(300) < 0.3, gold, generator.integers(0, 3, 300))
    rows = [np.zeros((300, 3, 3)) for _ in range(2)]
    for table, said in zip(rows, (good, poor), strict=True):
        for row, place, right in zip(table, said, gold, strict=True):
            row[place, 1] += 1
            row[right, 2] += 1
            row[place, 0] += place == right
    first, second = (table.reshape(300, 9) for table in rows)
    found = statistic_difference(first, second, np.ones(300), value_of("macro_f1"), 999, 1)
    assert found.p_value == pytest.approx(1 / 1000)
    assert found.interval.low is not None and found.interval.low > 0.1
    same = statistic_difference(first, first, np.ones(300), value_of("macro_f1"), 999, 1)
    assert (same.value, same.p_value) == (0.0, 1.0)


def test_below_ten_clusters_nothing_is_said() -> None:
    found = share_difference(np.full(9, 5.0), np.zeros(9), np.full(9, 5.0), np.full(9, 5.0), 100, 1)
    assert found.value == 1.0
    assert (found.p_value, found.interval.low, found.items, found.clusters) == (None, None, 45, 9)


def test_holm_by_hand() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.5, 0.6]) == [1.0, 1.0]


@pytest.mark.parametrize(("task", "share", "clusters"), [("scala-lv", 0.5, 30), ("inflection-swap-et", 0.9, 30)])
def test_equally_good_models_are_rarely_told_apart(task: str, share: float, clusters: int) -> None:
    # 600 draws: 6 % and twice its standard error.
    assert false_positives(task, False, share, clusters, 600, 7) <= 0.06 + 0.019
