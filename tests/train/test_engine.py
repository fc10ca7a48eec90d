"""The engine in groups of ranks: gradients do not depend on how a batch is cut; non-finite ones are dropped by all."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.train.conftest import need_muon
from tests.train.driver import run_group

from eurolm.config.architecture import ModelConfig
from eurolm.config.train import OptimizerConfig, TrainConfig
from eurolm.mixture.mixture import StepPlan
from eurolm.mixture.rows import Batch

ROWS, TOKENS, VOCABULARY = 8, 16, 256
SIZES = {"hidden_size": 64, "layers": 2, "attention_heads": 2, "key_value_heads": 2, "intermediate_size": 96}


def cyclic(step: int) -> tuple[Batch, StepPlan]:
    """A global batch that can be learnt: counting upwards, with ragged masks."""
    generator = np.random.default_rng(step)
    starts = generator.integers(0, VOCABULARY, (ROWS, 1))
    ids = (starts + np.arange(TOKENS + 1)) % VOCABULARY
    targets = ids[:, 1:].copy()
    for row in range(ROWS):
        targets[row, TOKENS - row :] = -100
    positions = np.tile(np.arange(TOKENS), (ROWS, 1))
    plan = StepPlan(step, 0, step * ROWS, ROWS, TOKENS, int((targets >= 0).sum()))
    return Batch(ids[:, :-1].copy(), positions, targets), plan


def cut(batch: Batch, rank: int, world: int, micro: int) -> list[Batch]:
    share = ROWS // world
    mine = range(rank * share, (rank + 1) * share)
    return [
        Batch(*(array[list(mine[start : start + micro])] for array in vars(batch).values()))
        for start in range(0, share, micro)
    ]


def start(world: int, fp32: bool, name: str = "adamw") -> Any:
    from eurolm.model.build import build_model
    from eurolm.train.engine import start_engine
    from eurolm.train.settings import engine_settings

    train = TrainConfig(optimizer=OptimizerConfig(name=name, learning_rate=1e-2), ranks=world)
    settings = engine_settings(train, 10**6, 1)
    if fp32:
        settings |= {"bf16": {"enabled": False}, "data_types": {"grad_accum_dtype": "fp32"}}
    model = build_model(ModelConfig(**SIZES), VOCABULARY, 0)
    engine = start_engine(model, train, settings, world)
    engine.set_learning_rates(1.0, {})
    return engine


def three_steps(rank: int, world: int, micro: int, fp32: bool) -> dict[str, Any]:
    from eurolm.train.step import Wishes, take_step

    engine = start(world, fp32)
    records = []
    for step in range(3):
        batch, plan = cyclic(step)
        records.append(take_step(engine, plan, cut(batch, rank, world, micro), Wishes()))
    return {
        "losses": [record.loss for record in records],
        "norms": [record.grad_norm for record in records],
        "weights": [parameter.double().sum().item() for parameter in engine.model.parameters()],
        "sharded": sum(part.numel() for part in engine.deepspeed.optimizer.single_partition_of_fp32_groups),
        "parameters": sum(parameter.numel() for parameter in engine.model.parameters()),
        "class": type(engine.deepspeed.optimizer).__name__,
    }


def test_any_cut_of_a_batch_gives_the_same_losses_norms_and_weights(context: Any, tmp_path: Path) -> None:
    """Three fp32 steps on ragged masks: micro-batches of 8, 4, 2 on one rank; 4 and 2 on two ranks."""
    cuts = [(1, 8), (1, 4), (1, 2), (2, 4), (2, 2)]
    found = [
        run_group(context, tmp_path / f"{world}-{micro}", world, three_steps, world, micro, True)
        for world, micro in cuts
    ]
    reference = found[0][0]
    assert reference["losses"][2] < reference["losses"][0]
    for (world, _), answers in zip(cuts, found, strict=True):
        for answer in answers:
            for name in ("losses", "norms", "weights"):
                assert answer[name] == pytest.approx(reference[name], rel=2e-6, abs=2e-5 if name == "weights" else 0)
            assert answer["sharded"] < answer["parameters"] / world + 100


def test_bf16_accumulates_within_its_precision_and_is_sharded(context: Any, tmp_path: Path) -> None:
    whole = run_group(context, tmp_path / "whole", 2, three_steps, 2, 4, False)
    parts = run_group(context, tmp_path / "parts", 2, three_steps, 2, 1, False)
    assert whole[0]["class"] == "DeepSpeedZeroOptimizer"
    assert whole[0]["losses"] == whole[1]["losses"]
    assert whole[0]["weights"] == whole[1]["weights"]
    assert whole[0]["sharded"] < whole[0]["parameters"] / 2 + 100
    assert parts[0]["losses"] == pytest.approx(whole[0]["losses"], rel=5e-3)


def poisoned(rank: int, world: int, where: str, name: str) -> dict[str, Any]:
    """Five steps; in the third, rank 1 alone meets a NaN in the loss or an infinite gradient."""
    import torch

    from eurolm.train.step import Wishes, take_step

    engine = start(world, False, name)
    embedding = engine.model.get_input_embeddings()
    applied, losses, norms, weights = [], [], [], []
    for step in range(5):
        batch, plan = cyclic(step)
        hook = None
        if step == 2 and rank == 1:
            if where == "loss":
                hook = embedding.register_forward_hook(lambda _module, _inputs, output: output * math.nan)
            else:
                hook = engine.model.base_model.norm.weight.register_hook(lambda grad: torch.full_like(grad, math.inf))
        record = take_step(engine, plan, cut(batch, rank, world, 2), Wishes())
        if hook is not None:
            hook.remove()
        applied.append(record.applied)
        losses.append(record.loss if math.isfinite(record.loss) else None)
        norms.append(record.grad_norm)
        weights.append([parameter.double().sum().item() for parameter in engine.model.parameters()])
    return {"applied": applied, "losses": losses, "norms": norms, "weights": weights}


@pytest.mark.parametrize(("where", "name"), [("loss", "adamw"), ("gradient", "adamw"), ("gradient", "muon")])
def test_a_value_that_is_not_finite_on_one_rank_skips_the_step_on_all(
    where: str, name: str, context: Any, tmp_path: Path
) -> None:
    if name == "muon":
        need_muon()
    first, second = run_group(context, tmp_path / "group", 2, poisoned, 2, where, name)
    assert first == second
    assert first["applied"] == [True, True, False, True, True]
    assert first["weights"][2] == first["weights"][1]
    assert all(math.isfinite(value) for weights in first["weights"] for value in weights)
    assert (first["losses"][2] is None) == (where == "loss")
    assert first["losses"][4] < first["losses"][0]


def wishes_of_one(rank: int, world: int) -> list[list[bool]]:
    from eurolm.train.step import Wishes, take_step

    engine = start(world, fp32=False)
    batch, plan = cyclic(0)
    wishes = [Wishes(), Wishes(stop=rank == 1), Wishes(save=rank == 0, save_failed=rank == 1)]
    records = [take_step(engine, plan, cut(batch, rank, world, 4), wish) for wish in wishes]
    return [[record.agreed.stop, record.agreed.save, record.agreed.save_failed] for record in records]


def test_a_wish_of_one_rank_is_known_to_all(context: Any, tmp_path: Path) -> None:
    answers = run_group(context, tmp_path / "group", 2, wishes_of_one, 2)
    assert answers == [[[False, False, False], [True, False, False], [False, True, True]]] * 2
