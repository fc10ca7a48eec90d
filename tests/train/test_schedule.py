"""Properties that every schedule keeps, for any horizon and any way to cut it into steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eurolm.config.train import FreezeConfig, RewarmConfig, ScheduleConfig
from eurolm.train.schedule import factor, freeze_factor

shares = st.floats(0, 0.45)
schedules = st.builds(
    ScheduleConfig,
    shape=st.sampled_from(["wsd", "cosine", "linear"]),
    decay=st.sampled_from(["linear", "1-sqrt", "cosine"]),
    warmup_share=shares,
    decay_share=shares,
    floor=st.floats(0, 0.5),
)
horizons = st.integers(1_000, 10**13)


@given(schedules, horizons, st.floats(0, 1))
def test_the_factor_lies_between_zero_and_one(schedule: ScheduleConfig, horizon: int, at: float) -> None:
    assert 0.0 <= factor(schedule, at * horizon, horizon) <= 1.0


@given(schedules, horizons, st.floats(0, 1), st.floats(0, 1))
def test_it_rises_in_the_warm_up_and_never_after(
    schedule: ScheduleConfig, horizon: int, first: float, second: float
) -> None:
    early, late = sorted((first * horizon, second * horizon))
    before, after = factor(schedule, early, horizon), factor(schedule, late, horizon)
    if late < schedule.warmup_share * horizon:
        assert before <= after
    elif early >= schedule.warmup_share * horizon:
        assert before >= after - 1e-12


@given(schedules, horizons)
def test_it_peaks_at_one_when_warm_and_ends_at_the_floor(schedule: ScheduleConfig, horizon: int) -> None:
    assert factor(schedule, schedule.warmup_share * horizon, horizon) == pytest.approx(1.0, abs=1e-6)
    if schedule.shape != "wsd" or schedule.decay_share > 1e-6:
        assert factor(schedule, horizon, horizon) == pytest.approx(schedule.floor, abs=1e-6)


@given(schedules, horizons, st.integers(1, 400))
def test_the_middle_of_every_step_has_a_rate_above_zero(schedule: ScheduleConfig, horizon: int, steps: int) -> None:
    size = horizon / steps
    assert all(factor(schedule, (step + 0.5) * size, horizon) > 0 for step in range(steps))


@given(horizons, st.floats(1, 5), st.floats(0, 1))
def test_a_longer_horizon_changes_nothing_in_the_stable_phase_of_wsd(horizon: int, longer: float, at: float) -> None:
    schedule = ScheduleConfig(shape="wsd", warmup_share=0.0, decay_share=0.2)
    done = at * 0.8 * horizon
    assert factor(schedule, done, horizon) == factor(schedule, done, longer * horizon)


def test_the_forms_of_decay_differ_where_they_must() -> None:
    """At a quarter of the decay: 1 - 1/4, 1 - 1/2, (1 + cos 45°) / 2."""
    for form, expected in (("linear", 0.75), ("1-sqrt", 0.5), ("cosine", 0.5 + 0.5**0.5 / 2)):
        schedule = ScheduleConfig(shape="wsd", decay=form, warmup_share=0.0, decay_share=0.4)
        assert factor(schedule, 700, 1000) == pytest.approx(expected)


def test_a_second_warm_up_starts_at_zero_and_ends_where_the_schedule_is() -> None:
    plain = ScheduleConfig(warmup_tokens=10, decay_share=0.5)
    schedule = plain.model_copy(update={"rewarms": [RewarmConfig(at_tokens=400, over_tokens=100)]})
    assert factor(schedule, 399, 1000) == factor(plain, 399, 1000)
    assert factor(schedule, 400, 1000) == 0.0
    assert factor(schedule, 450, 1000) == pytest.approx(0.5)
    assert [factor(schedule, at, 1000) for at in (500, 700)] == [factor(plain, at, 1000) for at in (500, 700)]


def test_warm_up_in_tokens_does_not_move_with_the_horizon() -> None:
    schedule = ScheduleConfig(warmup_tokens=100)
    assert factor(schedule, 50, 1_000) == factor(schedule, 50, 1_000_000) == 0.5


def test_a_frozen_part_learns_nothing_until_its_time() -> None:
    freeze = {"body": FreezeConfig(until_tokens=100, factor=0.1)}
    assert [freeze_factor(freeze, "body", at) for at in (0, 99, 100)] == [0.1, 0.1, 1.0]
    assert freeze_factor(freeze, "embeddings", 0) == 1.0
