from __future__ import annotations

import numpy as np
import pytest

from eurolm.tokenizer.scoring.intervals import Estimate, compared, resample


def test_totals_are_sums_and_fewer_than_ten_groups_give_no_interval() -> None:
    columns = {"a": np.arange(12), "b": np.ones(12)}
    found = resample(columns, [str(n % 9) for n in range(12)])
    assert (found.totals, found.groups) == ({"a": 66.0, "b": 12.0}, 9)
    assert found.samples is None
    assert compared([found.ratio("a", "b")])[0].low is None
    assert resample(columns, [str(n % 10) for n in range(12)]).samples is not None


def test_intervals_cover_the_truth_nineteen_times_in_twenty() -> None:
    """Figures of 40 groups of three like documents each; treating documents as independent would cover far less."""
    generator, hits, naive_hits = np.random.default_rng(3), 0, 0
    for trial in range(300):
        costs = np.repeat(generator.gamma(4, 0.5, 40), 3) + generator.normal(0, 0.05, 120)
        columns = {"tokens": costs, "words": np.ones(120)}
        for by_group in (True, False):
            groups = [str(n // 3 if by_group else n) for n in range(120)]
            figure = compared([resample(columns, groups, 300, trial).ratio("tokens", "words")])[0]
            assert figure.low is not None
            assert figure.high is not None
            hit = figure.low <= 2 <= figure.high
            hits, naive_hits = hits + (hit and by_group), naive_hits + (hit and not by_group)
    assert 0.90 <= hits / 300 <= 0.98
    assert naive_hits / 300 < 0.85


def test_draws_are_the_same_for_the_same_seed_and_whole_groups_are_drawn() -> None:
    columns = {"a": np.array([1.0, -1.0] * 15), "b": np.ones(30)}
    pairs = [str(n // 2) for n in range(30)]
    one, again, other = (resample(columns, pairs, 200, seed) for seed in (1, 1, 2))
    assert one.samples is not None
    assert again.samples is not None
    assert other.samples is not None
    assert np.array_equal(one.samples["b"], again.samples["b"])
    assert not one.samples["a"].any(), "each group sums to nothing, so every draw does"
    singles = [resample({"a": np.arange(30)}, [str(n) for n in range(30)], 200, seed).samples for seed in (1, 2)]
    assert not np.array_equal(singles[0]["a"], singles[1]["a"])


def test_a_difference_beyond_its_interval_is_told_from_one_within() -> None:
    generator = np.random.default_rng(5)
    base = generator.gamma(4, 1, 400)
    columns = {
        "one": base,
        "apart": base * 1.05 + 0.01,
        "within": base + generator.normal(0, 1, 400),
        "n": np.ones(400),
    }
    sums = resample(columns, [str(n) for n in range(400)])
    one, apart, within = compared([sums.ratio(name, "n") for name in ("one", "apart", "within")])
    assert (one.beyond, apart.beyond, within.beyond) == (None, True, False)
    assert apart.difference == pytest.approx(sums.totals["apart"] / 400 - sums.totals["one"] / 400)


def test_a_ratio_to_nothing_is_null_and_draws_of_nothing_give_no_interval() -> None:
    zero = resample({"a": np.ones(20), "b": np.zeros(20)}, [str(n) for n in range(20)])
    assert compared([zero.ratio("a", "b")])[0].value is None
    once = np.zeros(20)
    once[0] = 1
    rare = resample({"a": np.ones(20), "b": once}, [str(n) for n in range(20)])
    figure = compared([rare.ratio("a", "b")])[0]
    assert (figure.value, figure.low, figure.high) == (20, None, None)
    assert compared([Estimate(None), Estimate(1.0)])[1].difference is None
