"""What a started training accepts: nothing that alters numbers, except a longer horizon."""

from __future__ import annotations

from typing import Any

import pytest

from eurolm.config.architecture import ModelConfig
from eurolm.config.tokens import MixtureConfig, PhaseConfig
from eurolm.config.train import TrainConfig
from eurolm.train.changes import changed_fields, extends_horizon, fixed_fields, keeps_history, stable_until_tokens


def output(*tokens: int, seed: int = 1, row_tokens: int = 64, shape: str = "wsd") -> dict[str, Any]:
    phases = [PhaseConfig(tokens=count, row_tokens=row_tokens, batch_rows=8) for count in tokens]
    train = TrainConfig.model_validate({"schedule": {"shape": shape, "decay_share": 0.25}})
    return {
        "mixture": MixtureConfig(seed=seed, phases=phases).output_fields(),
        "model": ModelConfig().output_fields(),
        "train": train.output_fields(),
    }


def test_changed_fields_are_named() -> None:
    assert changed_fields(output(1000), output(1000)) == []
    assert changed_fields(output(1000), output(2000, seed=2)) == ["mixture.phases.0.tokens", "mixture.seed"]


@pytest.mark.parametrize(
    ("new", "extends"),
    [
        (output(1000, 3000), True),
        (output(1000, 2000, 500), True),
        (output(1000, 2000), False),
        (output(1000, 1500), False),
        (output(2000, 2000), False),
        (output(4000), False),
        (output(1000, 3000, seed=2), False),
        (output(1000, 3000, row_tokens=128), False),
    ],
)
def test_only_a_longer_last_phase_or_appended_ones_extend(new: dict[str, Any], extends: bool) -> None:
    assert extends_horizon(output(1000, 2000), new) is extends


def test_the_stable_phase_ends_where_the_decay_begins() -> None:
    assert stable_until_tokens(output(1000, 3000)) == 3000
    assert stable_until_tokens(output(1000, 3000, shape="cosine")) == 0


def longer(before: dict[str, Any], **model: Any) -> dict[str, Any]:
    return {**before, "model": {**before["model"], **model}}


def test_a_fork_and_a_further_phase_may_declare_a_longer_context_and_no_other_model() -> None:
    old, new = output(1000, 2000), output(1000, 2000, 500)
    new["mixture"]["phases"][2] |= {"row_tokens": 8192, "rope_theta": 1e6}
    assert extends_horizon(old, longer(new, max_position_tokens=8192))
    assert keeps_history(old, longer(new, max_position_tokens=8192), samples=16)
    assert not extends_horizon(old, longer(new, max_position_tokens=512))
    for other in ({"layers": 7}, {"rope_theta": 1e6}, {"seed": 2}):
        assert not extends_horizon(old, longer(new, **other))
        assert not keeps_history(old, longer(new, **other), samples=16)
        assert fixed_fields(changed_fields(old, longer(old, **other))) == [f"model.{next(iter(other))}"]
    assert fixed_fields(["mixture.seed", "model.max_position_tokens", "train.freeze"]) == []
    assert fixed_fields(["train.optimizer.name"]) == ["train.optimizer.name"]
