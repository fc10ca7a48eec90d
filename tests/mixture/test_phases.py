from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.mixture.orders import opened, rows_of

from eurolm.config.tokens import MixtureConfig, PhaseConfig
from eurolm.errors import ConfigError, InputError
from eurolm.mixture.mixture import Mixture
from eurolm.mixture.phases import build_phases


def test_the_prefix_table_turns_samples_into_steps_and_tokens(tokens_dir: Path, packs_dir: Path) -> None:
    mixture = opened(
        tokens_dir,
        packs_dir,
        {"tokens": 64 * 8 * 10 + 1, "batch_rows": 8},
        {"tokens": 256 * 4 * 3, "batch_rows": 4, "row_tokens": 256},
        {"tokens": 1, "batch_rows": 16},
    )
    assert (mixture.total_steps, mixture.total_samples) == (11 + 3 + 1, 88 + 12 + 16)
    assert mixture.total_tokens == 88 * 64 + 12 * 256 + 16 * 64
    consumed, tokens = 0, 0
    for step in range(mixture.total_steps):
        plan = mixture.plan_step(consumed)
        assert (plan.step, plan.first_sample) == (step, consumed)
        assert (plan.phase, plan.rows, plan.row_tokens) == (
            (0, 8, 64) if step < 11 else (1, 4, 256) if step < 14 else (2, 16, 64)
        )
        batch = mixture.rows(range(consumed, consumed + plan.rows))
        assert plan.valid_targets == int((batch.targets != -100).sum())
        assert mixture.tokens_of(consumed) == tokens
        consumed, tokens = consumed + plan.rows, tokens + plan.rows * plan.row_tokens
    assert (mixture.steps_of(consumed), mixture.tokens_of(consumed)) == (mixture.total_steps, mixture.total_tokens)
    with pytest.raises(IndexError):
        mixture.plan_step(consumed)
    with pytest.raises(ConfigError, match="7 samples consumed is no step boundary: phase 0 began at 0 with 8 rows"):
        mixture.plan_step(7)
    with pytest.raises(ConfigError, match=r"117 samples are consumed, but mixture.phases hold 116"):
        mixture.steps_of(117)


def test_without_weights_each_source_has_its_share_of_rows(tokens_dir: Path, packs_dir: Path) -> None:
    rows = rows_of(packs_dir, 64)
    mixture = opened(tokens_dir, packs_dir, {})
    for source, count in zip(mixture.sources, mixture.phases[0].counts.tolist(), strict=True):
        assert abs(count / 4096 - rows[source] / sum(rows.values())) < 1 / 4096


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ({"weights": {"lv_txt": 1}}, r"weights.lv_txt = 1.0: .* no source 'lv_txt'. Did you mean 'lv_text'\?"),
        ({"weights": {"zz": 1}}, r"There are: et_text, lv_text, odd"),
        ({"weights": {"odd": -1, "lv_text": 2}}, r"weights.odd = -1.0: a weight is a number from 0 on"),
        ({"weights": {"odd": 0}}, r"weights are all 0"),
        ({"weights": {"odd": 1, "lv_text": 1e6}}, r"weights.odd = 1.0 is 1.00e-06 .* never be drawn. Raise it to 244"),
    ],
)
def test_impossible_weights_are_refused(tokens_dir: Path, packs_dir: Path, phase: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        opened(tokens_dir, packs_dir, phase)


def test_no_phase_is_refused(tokens_dir: Path, packs_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"mixture.phases is empty"):
        opened(tokens_dir, packs_dir)


def test_packs_of_another_row_length_are_refused(tokens_dir: Path, packs_dir: Path) -> None:
    with pytest.raises(InputError, match="has no 128-bestfit index"):
        opened(tokens_dir, packs_dir, {"row_tokens": 128})
    config = MixtureConfig(phases=[PhaseConfig(tokens=64, row_tokens=64, batch_rows=1)])
    with pytest.raises(InputError, match=r"packs.json is missing"):
        Mixture.open(config, tokens_dir, packs_dir)


def test_repetition_is_bounded_and_the_bound_is_named(tokens_dir: Path, packs_dir: Path) -> None:
    rows = rows_of(packs_dir, 64)["odd"]
    phase = {"batch_rows": 1, "weights": {"odd": 1}, "max_epochs": 2.0}
    opened(tokens_dir, packs_dir, {**phase, "tokens": 2 * rows * 64})
    with pytest.raises(ConfigError, match=rf"draws {2 * rows + 1:,} rows of 'odd', which has {rows:,}") as caught:
        opened(tokens_dir, packs_dir, {**phase, "tokens": (2 * rows + 1) * 64})
    assert f"shorten the phase to {2 * rows * 64:,} tokens" in str(caught.value)


def test_epochs_add_up_over_row_lengths(tokens_dir: Path, packs_dir: Path) -> None:
    short, long = rows_of(packs_dir, 64)["odd"], rows_of(packs_dir, 256)["odd"]
    first = {"batch_rows": 1, "weights": {"odd": 1}, "tokens": short * 64}
    second = {"batch_rows": 1, "weights": {"odd": 1}, "row_tokens": 256, "tokens": long * 256}
    opened(tokens_dir, packs_dir, first, {**second, "max_epochs": 2.0})
    with pytest.raises(ConfigError, match=r"mixture.phases\[1\] draws .* 2.00 epochs by its end, more than max_epochs"):
        opened(tokens_dir, packs_dir, first, {**second, "max_epochs": 1.999})


def test_sources_without_rows_and_sources_too_small_for_a_share() -> None:
    def phases(weights: dict[str, float]) -> list[PhaseConfig]:
        return [PhaseConfig(tokens=64, row_tokens=64, batch_rows=1, weights=weights)]

    rows = {64: {"big": 1_000_000, "small": 10, "none": 0}}
    with pytest.raises(ConfigError, match=r"weights.none = 1.0, but 'none' has no rows of 64 tokens"):
        build_phases(phases({"none": 1.0, "big": 1.0}), 1, list(rows[64]), rows)
    table, notes = build_phases(phases({}), 1, list(rows[64]), rows)
    assert table[0].counts.tolist() == [4096, 0, 0]
    assert len(notes) == 1
    assert "'small' has 10 of 1,000,010 rows" in notes[0]
