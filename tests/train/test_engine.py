"""The engine in groups of ranks: gradients do not depend on how a batch is cut; non-finite ones are dropped by all."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.train.driver import run_group

from eurolm.config.architecture import ModelConfig
from eurolm.config.train import TrainConfig
from eurolm.errors import MachineError
from eurolm.mixture.mixture import StepPlan
from eurolm.mixture.rows import Batch

ROWS, TOKENS, VOCABULARY = 8, 16, 256
PARAMETERS = 2 + 2 * 9
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


def start(world: int, fp32: bool, name: str = "adamw", **train: Any) -> Any:
    import torch

    from eurolm.model.build import build_model
    from eurolm.train.attention import checkpoint_activations
    from eurolm.train.engine import start_engine
    from eurolm.train.settings import engine_settings

    rate = 1e-3 if fp32 else 1e-2
    config = TrainConfig.model_validate({"optimizer": {"name": name, "learning_rate": rate}, "ranks": world, **train})
    settings = engine_settings(config, 10**6, 1)
    if fp32:
        settings |= {"bf16": {"enabled": False}, "data_types": {"grad_accum_dtype": "fp32"}}
    if config.hpz_ranks:
        # Tensors this small would never be let go, and what is never let go needs no second copy.
        never_kept = (
            "max_reuse_distance",
            "max_live_parameters",
            "prefetch_bucket_size",
            "param_persistence_threshold",
        )
        settings["zero_optimization"] |= {f"stage3_{name}": 0 for name in never_kept}
    model = build_model(ModelConfig(**SIZES), VOCABULARY, 0, dtype=torch.float32 if fp32 else torch.bfloat16)
    checkpoint_activations(model, config.activation_checkpointing)
    engine = start_engine(model, config, settings, world)
    engine.set_learning_rates(1.0, {})
    return engine


def three_steps(rank: int, world: int, micro: int, fp32: bool, out: str) -> dict[str, Any]:
    from eurolm.train.step import Wishes, take_step
    from eurolm.train.tensors import save_tensors

    engine = start(world, fp32)
    records = []
    for step in range(3):
        batch, plan = cyclic(step)
        records.append(take_step(engine, plan, cut(batch, rank, world, micro), Wishes()))
    Path(out).mkdir(exist_ok=True)
    save_tensors(engine, Path(out))
    return {
        "losses": [record.loss for record in records],
        "norms": [record.grad_norm for record in records],
        "weights": [parameter.double().sum().item() for parameter in engine.model.parameters()],
        "sharded": sum(part.numel() for part in engine.deepspeed.optimizer.single_partition_of_fp32_groups),
        "parameters": sum(parameter.numel() for parameter in engine.model.parameters()),
        "class": type(engine.deepspeed.optimizer).__name__,
    }


def read_all(place: Path) -> dict[tuple[str, str], Any]:
    """Every tensor of a saved engine, whole."""
    import torch

    from eurolm.train.tensors import read_index, read_range

    return {
        (name, state): torch.cat([values for _, values in read_range(place, parts, 0, parts[-1].end)])
        for name, states in read_index(place).items()
        for state, parts in states.items()
    }


def test_any_cut_of_a_batch_gives_the_same_losses_gradients_and_weights(context: Any, tmp_path: Path) -> None:
    """Three fp32 steps on ragged masks: 1, 2 and 4 ranks, whole shares and micro-batches of them."""
    cuts = [(1, 8), (1, 2), (2, 4), (2, 2), (4, 2), (4, 1)]
    places = [tmp_path / f"{world}-{micro}" for world, micro in cuts]
    found = [
        run_group(context, place, world, three_steps, world, micro, True, str(place.with_suffix(".out")))
        for place, (world, micro) in zip(places, cuts, strict=True)
    ]
    reference, tensors = found[0][0], read_all(places[0].with_suffix(".out"))
    assert reference["losses"][2] < reference["losses"][0]
    for place, (world, _), answers in zip(places, cuts, found, strict=True):
        for answer in answers:
            assert answer["losses"] == pytest.approx(reference["losses"], rel=1e-6)
            assert answer["norms"] == pytest.approx(reference["norms"], rel=1e-6)
            assert answer["sharded"] < answer["parameters"] / world + 100
        for key, ours in read_all(place.with_suffix(".out")).items():
            # Moments are running means of the gradients; after three steps they hold all three.
            assert (ours - tensors[key]).abs().max() <= 1e-6 * max(1.0, tensors[key].abs().max()), key


def test_bf16_accumulates_within_its_precision_and_is_sharded(context: Any, tmp_path: Path) -> None:
    whole = run_group(context, tmp_path / "whole", 2, three_steps, 2, 4, False, str(tmp_path / "whole.out"))
    parts = run_group(context, tmp_path / "parts", 2, three_steps, 2, 1, False, str(tmp_path / "parts.out"))
    assert whole[0]["class"] == "DeepSpeedZeroOptimizer"
    assert whole[0]["losses"] == whole[1]["losses"]
    assert whole[0]["weights"] == whole[1]["weights"]
    assert whole[0]["sharded"] < whole[0]["parameters"] / 2 + 100
    assert parts[0]["losses"] == pytest.approx(whole[0]["losses"], rel=5e-3)


def poisoned(rank: int, world: int, where: str, name: str, stage: int = 1) -> dict[str, Any]:
    """Five steps; in the third, rank 1 alone meets a NaN in the loss or an infinite gradient."""
    import torch

    from eurolm.train.step import Wishes, take_step

    engine = start(world, False, name, zero_stage=stage)
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


def fresh_sums(rank: int, world: int, stage: int) -> dict[str, Any]:
    from eurolm.train.measure import measure

    return measure(start(world, fp32=False, zero_stage=stage), lambda: 0.0).sums


def test_initial_weights_are_the_same_at_every_stage_and_world_size(context: Any, tmp_path: Path) -> None:
    """Integer sums of all bf16 weights and fp32 masters."""
    found = [
        run_group(context, tmp_path / f"{stage}-{world}", world, fresh_sums, world, stage)[0]
        for stage in range(4)
        for world in (1, 2)
    ]
    kept = [{name: (sums["weight"], sums["master"]) for name, sums in answer.items()} for answer in found]
    assert len(kept[0]) == PARAMETERS
    assert all(sums == kept[0] for sums in kept)


def some_steps(rank: int, world: int, steps: int, settings: dict[str, Any], micro: int = 2) -> dict[str, Any]:
    from eurolm.train.step import Wishes, _tensors, take_step

    engine = start(world, fp32=False, **settings)
    losses = []
    for step in range(steps):
        batch, plan = cyclic(step)
        losses.append(take_step(engine, plan, cut(batch, rank, world, micro), Wishes()).loss.hex())
    batch, _ = cyclic(steps)
    # Second shards live from a forward pass to the next update.
    engine.deepspeed(*_tensors(cut(batch, rank, world, micro)[0], engine.device))
    parameters = list(engine.model.parameters())
    second = [getattr(parameter, "ds_secondary_tensor", None) is not None for parameter in parameters]
    return {"losses": losses, "second": sum(second), "parameters": len(parameters)}


@pytest.mark.parametrize("stage", [1, 3])
def test_activation_checkpointing_changes_no_bit(stage: int, context: Any, tmp_path: Path) -> None:
    found = [
        run_group(
            context, tmp_path / mode, 2, some_steps, 2, 3, {"zero_stage": stage, "activation_checkpointing": mode}
        )[0]["losses"]
        for mode in ("none", "selective", "full")
    ]
    assert float.fromhex(found[0][-1]) < float.fromhex(found[0][0])
    assert found[0] == found[1] == found[2]


def test_hpz_holds_second_shards_and_changes_no_bit(context: Any, tmp_path: Path) -> None:
    plain = run_group(context, tmp_path / "plain", 4, some_steps, 4, 3, {"zero_stage": 3})
    second = run_group(context, tmp_path / "hpz", 4, some_steps, 4, 3, {"zero_stage": 3, "hpz_ranks": 2})
    assert all(answer["second"] == 0 for answer in plain)
    assert all(answer["second"] == answer["parameters"] == PARAMETERS for answer in second)
    assert plain[0]["losses"] == second[0]["losses"]


def test_stages_1_2_and_3_compute_the_same(context: Any, tmp_path: Path) -> None:
    """With one micro-batch; of several, stage 1 adds each rank's up before it reduces, 2 and 3 after."""
    found = [run_group(context, tmp_path / str(s), 2, some_steps, 2, 4, {"zero_stage": s}, 4)[0] for s in (1, 2, 3, 0)]
    one, two, three, zero = ([float.fromhex(loss) for loss in answer["losses"]] for answer in found)
    assert one == two
    # Stage 3 adds the gradient's norm up tensor by tensor, stage 0 sums the ranks' gradients in bf16.
    assert three == pytest.approx(one, rel=5e-4)
    assert zero == pytest.approx(one, rel=5e-3)
    assert one[0] == three[0] == zero[0]


def moves_of_the_whole_model(rank: int, stage: int) -> int:
    from torch import nn

    from eurolm.train.loss import CausalLoss

    moves = []

    def to(self: Any, *where: Any, **how: Any) -> Any:
        moves.append(where)
        return nn.Module.to(self, *where, **how)

    CausalLoss.to = to  # type: ignore[method-assign]
    start(2, fp32=False, zero_stage=stage)
    return len(moves)


def test_zero_3_never_puts_the_whole_model_on_a_device(context: Any, tmp_path: Path) -> None:
    one, three = (run_group(context, tmp_path / str(stage), 2, moves_of_the_whole_model, stage)[0] for stage in (1, 3))
    assert one > 0 and three == 0


def steps_with_late_gathers(rank: int, late: bool) -> dict[str, Any]:
    """Steps at ZeRO-3. If `late`, an asynchronous gather is NaN until it is waited for: no handle promises more."""
    from deepspeed import comm

    gather = comm.all_gather_into_tensor

    def gather_late(output: Any, source: Any, group: Any = None, async_op: bool = False, **rest: Any) -> Any:
        if not async_op:
            return gather(output, source, group, **rest)
        output.fill_(math.nan)
        return SimpleNamespace(wait=lambda: gather(output, source, group, **rest))

    if late:
        comm.all_gather_into_tensor = gather_late
    return some_steps(rank, 2, 3, {"zero_stage": 3}, 4)


def test_zero_3_reads_no_weight_before_its_gather_has_ended(context: Any, tmp_path: Path) -> None:
    """DeepSpeed 0.18.2 and 0.19.2 wait for the last of many gathers, which orders them on a GPU, but not over gloo."""
    early, late = (run_group(context, tmp_path / str(late), 2, steps_with_late_gathers, late) for late in (False, True))
    assert early == late


@pytest.mark.parametrize("stage", [0, 2, 3])
def test_a_bad_gradient_on_one_rank_is_dropped_by_all_at_every_stage(stage: int, context: Any, tmp_path: Path) -> None:
    first, second = run_group(context, tmp_path / "group", 2, poisoned, 2, "gradient", "adamw", stage)
    assert first["applied"] == second["applied"] == [True, True, False, True, True]
    assert first["losses"] == second["losses"]
    assert all(loss is not None for loss in first["losses"])
    assert first["losses"][4] < first["losses"][0]


def test_fp32_accumulation_is_fp32(context: Any, tmp_path: Path) -> None:
    """Eight micro-batches of one row add up to the same as one of eight, closer than in bf16."""
    settings = {"zero_stage": 2, "accumulation_dtype": "fp32"}
    whole, parts = (
        run_group(context, tmp_path / str(micro), 1, some_steps, 1, 4, settings, micro)[0]["losses"] for micro in (8, 1)
    )
    ours, theirs = ([float.fromhex(loss) for loss in losses] for losses in (parts, whole))
    assert ours == pytest.approx(theirs, rel=1e-3)
    assert theirs[-1] < theirs[0]


def test_what_a_deepspeed_breaks_is_refused_by_looking_at_its_code() -> None:
    """Muon that keeps NaN in its momentum, and fp32 accumulation that dies of one: 0.18.2 and 0.19.2."""
    import deepspeed

    from eurolm.train.engine import check_fp32_accumulation
    from eurolm.train.optimizer import check_muon

    for check in (check_muon, check_fp32_accumulation):
        if deepspeed.__version__ in ("0.18.2", "0.19.2"):
            with pytest.raises(MachineError, match=r"0\.19\.8 does"):
                check()
        else:
            check()
