"""DeepSpeed around the model: the start, the check that it built what was asked for, and its learning rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from eurolm.config.train import Part, TrainConfig
from eurolm.errors import MachineError
from eurolm.model.rope import restore_frequencies
from eurolm.train.loss import CausalLoss
from eurolm.train.optimizer import build_optimizer, check_muon

WRAPPERS = {
    0: "FP16_UnfusedOptimizer",
    1: "DeepSpeedZeroOptimizer",
    2: "DeepSpeedZeroOptimizer",
    3: "DeepSpeedZeroOptimizer_Stage3",
}
"""What DeepSpeed must have wrapped around our optimizer, per ZeRO stage; the others are not sharded, or not fp32."""


@dataclass(frozen=True)
class ParameterGroup:
    """Peak learning rate of a parameter group, and the part of the model it belongs to (null: any)."""

    peak: float
    part: Part | None


@dataclass(frozen=True)
class Engine:
    """A started DeepSpeed engine."""

    deepspeed: Any
    stage: int
    groups: tuple[ParameterGroup, ...]
    norm_is_gradient: bool
    """False for Muon: DeepSpeed's norm is then taken over updates, not gradients."""
    asks_for_overflow: bool
    """True where DeepSpeed looks for non-finite gradients only when told to."""

    @property
    def model(self) -> Any:
        """The `transformers` model that is being trained (bf16)."""
        return self.deepspeed.module.model

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return torch.device(self.deepspeed.device)

    @property
    def sharded_weights(self) -> bool:
        """True at ZeRO-3: no rank can use the model without the others."""
        return self.stage == 3

    def set_learning_rates(self, factor: float, parts: Mapping[Part, float]) -> None:
        """Scale every group's peak learning rate by `factor`, and by the factor of its part."""
        for group, setting in zip(self.deepspeed.optimizer.param_groups, self.groups, strict=True):
            group["lr"] = setting.peak * factor * (1.0 if setting.part is None else parts.get(setting.part, 1.0))

    def step(self) -> bool:
        """Update the weights at the end of a global batch; False where all ranks skipped the update."""
        if self.asks_for_overflow:
            self.deepspeed.optimizer.check_overflow()
        self.deepspeed.step()
        applied = bool(self.deepspeed.was_step_applied())
        if self.stage == 0:
            # 0.18.2 never clears them at stage 0 in bf16: each step would learn from all before it, and a bad one would
            # skip every later step for ever.
            for parameter in self.model.parameters():
                parameter.grad = None
        return applied


def model_bytes(engine: Engine) -> int:
    """Bytes of the bf16 weights of the whole model."""
    return sum(2 * getattr(weight, "ds_numel", weight.numel()) for weight in engine.model.parameters())


@contextmanager
def gathered(engine: Engine) -> Iterator[None]:
    """The whole model on every rank while the block runs; all ranks together."""
    if not engine.sharded_weights:
        yield
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters(list(engine.model.parameters())):
        yield


def start_engine(model: Any, train: TrainConfig, settings: dict[str, Any], world: int) -> Engine:
    """Wrap `model` (any device; weights as they shall be trained from) by `deepspeed.initialize`.

    Raises MachineError where this DeepSpeed built something other than the sharded optimizer.
    """
    import deepspeed

    if train.accumulation_dtype == "fp32":
        check_fp32_accumulation()
    if train.optimizer.name == "muon":
        check_muon()
    base = build_optimizer(model, train.optimizer, frozenset(train.freeze))
    # initialize replaces the parameters in these groups by its own partitions, so they are counted first.
    sizes = [[parameter.numel() for parameter in group["params"]] for group in base.param_groups]
    groups = tuple(ParameterGroup(group["lr"], group.pop("part")) for group in base.param_groups)
    if train.zero_stage == 3:
        # Weight by weight: initialize would put the whole model on each device before it shares it out.
        deepspeed.zero.Init(module=model, config_dict_or_path=settings)
    engine, *_ = deepspeed.initialize(
        model=CausalLoss(model), optimizer=base, config=settings, dist_init_required=False
    )
    restore_frequencies(model)
    if train.zero_stage == 0:
        _clean_stage_0(engine.optimizer)
    if train.zero_stage == 3 and torch.device(engine.device).type == "cpu":
        _gather_one_by_one(model)
    stage = train.zero_stage
    check_sharding(engine.optimizer, stage, sizes, world)
    asks = stage == 3 and not hasattr(engine.optimizer, "_loss_scale_update_and_overflow_cleanup")
    return Engine(engine, stage, groups, norm_is_gradient=train.optimizer.name == "adamw", asks_for_overflow=asks)


def _clean_stage_0(optimizer: Any) -> None:
    """At stage 0 DeepSpeed makes the optimizer's states by an update with zero gradients (unfused_optimizer.py), which
    decays the masters once, at the peak learning rate, and counts as Adam's first step. And 0.18.2 scales the loss
    dynamically there, as if bf16 were fp16."""
    if getattr(optimizer, "cur_scale", 1.0) != 1.0:
        optimizer.cur_scale, optimizer.dynamic_loss_scale = 1.0, False
    for weights, masters in zip(optimizer.fp16_groups, optimizer.fp32_groups, strict=True):
        for weight, master in zip(weights, masters, strict=True):
            master.data.copy_(weight.data)
    optimizer.optimizer.state.clear()


def _gather_one_by_one(model: Any) -> None:
    """Let gathers of several parameters at once (small ones after each update, `gathered`) be done when they return.

    0.18.2 and 0.19.2 start one asynchronous all-gather per parameter and wait for the last alone (DeepSpeed PR 8539
    waits for all). On a GPU they end in the order of their stream; gloo has two threads, so any of the others may still
    be writing. A single parameter is gathered by a call that blocks.
    """

    def in_turn(gather: Any, param_list: Any = None, async_op: bool = False, hierarchy: int = 0) -> Any:
        if param_list is None or async_op:
            return gather(param_list, async_op, hierarchy)
        for parameter in param_list:
            gather([parameter], hierarchy=hierarchy)
        return None

    for parameter in model.parameters():
        parameter.all_gather = partial(in_turn, parameter.all_gather)


def master_partitions(optimizer: Any, stage: int) -> list[torch.Tensor]:
    """This rank's fp32 master weights: flat partitions, or whole tensors at stage 0."""
    if stage == 0:
        return [master for group in optimizer.fp32_groups for master in group]
    return list(optimizer.single_partition_of_fp32_groups if stage < 3 else optimizer.fp32_partitioned_groups_flat)


def check_sharding(optimizer: Any, stage: int, sizes: list[list[int]], world: int) -> None:
    """Class of the optimizer, type and bytes of its masters. Raises MachineError where they are not as they must be."""
    import deepspeed

    known = "eurolm knows DeepSpeed 0.18.2 to 0.19.x: install one of these."
    if type(optimizer).__name__ != WRAPPERS[stage]:
        raise MachineError(
            f"DeepSpeed {deepspeed.__version__} built {type(optimizer).__name__} at ZeRO-{stage}, not "
            f"{WRAPPERS[stage]}: its weights are not sharded or not kept in fp32. {known}"
        )
    partitions = master_partitions(optimizer, stage)
    held = sum(partition.numel() * partition.element_size() for partition in partitions)
    share = 1 if stage == 0 else world
    # Stages 1 and 2 pad each group to a multiple of world × a small alignment factor, stage 3 pads each tensor.
    padded = sizes if stage == 3 else [[sum(group)] for group in sizes]
    most = sum(4 * (size // share + 1 + 8 * share) for group in padded for size in group)
    if held > most or any(partition.dtype != torch.float32 for partition in partitions):
        raise MachineError(
            f"DeepSpeed {deepspeed.__version__} holds {held:,} bytes of master weights on this rank at ZeRO-{stage}; "
            f"in fp32 over {world} ranks it should hold at most {most:,}. {known}"
        )


def check_fp32_accumulation() -> None:
    """Raise MachineError where one NaN ends a run that accumulates in fp32 (0.18.2, 0.19.2)."""
    import deepspeed
    from deepspeed.runtime.zero.stage_1_and_2 import DeepSpeedZeroOptimizer

    if "is_invalid_grad_norm" not in DeepSpeedZeroOptimizer.step.__code__.co_names:
        raise MachineError(
            f"train.accumulation_dtype = fp32, but DeepSpeed {deepspeed.__version__} does not survive a bad gradient "
            "then (0.19.8 does). Set train.accumulation_dtype=bf16, or install a newer DeepSpeed."
        )
