"""DeepSpeed around the model: the generated settings, the start, and the check that it did what was asked.

DeepSpeed decides by data types which optimizer it wraps around ours, and some combinations silently give one that is
not sharded (0.18.2: `grad_accum_dtype: fp32` at ZeRO-1). So every dtype is explicit and the result is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from eurolm.config.train import OptimizerConfig
from eurolm.errors import MachineError
from eurolm.train.loss import CausalLoss
from eurolm.train.optimizer import build_optimizer

REDUCE_BUCKET = 2**27
"""Most elements reduced at once; smaller models reduce in one call."""


@dataclass(frozen=True)
class Engine:
    """A started DeepSpeed engine, and the peak learning rate of each of its parameter groups."""

    deepspeed: Any
    peaks: tuple[float, ...]
    norm_is_gradient: bool
    """False for Muon: DeepSpeed's norm is then taken over updates, not gradients."""

    @property
    def model(self) -> Any:
        """The `transformers` model that is being trained (bf16)."""
        return self.deepspeed.module.model

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return torch.device(self.deepspeed.device)

    def set_learning_rate(self, factor: float) -> None:
        """Scale every group's peak learning rate."""
        for group, peak in zip(self.deepspeed.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor


def start_engine(model: Any, optimizer: OptimizerConfig, settings: dict[str, Any], world: int) -> Engine:
    """Wrap `model` (fp32, any device) by `deepspeed.initialize` with generated `settings`.

    Raises MachineError where this DeepSpeed built something other than the sharded optimizer.
    """
    import deepspeed

    base = build_optimizer(model, optimizer)
    # initialize replaces the parameters in these groups by its own partitions, so they are counted first.
    sizes = [sum(parameter.numel() for parameter in group["params"]) for group in base.param_groups]
    peaks = tuple(group["lr"] for group in base.param_groups)
    engine, *_ = deepspeed.initialize(
        model=CausalLoss(model), optimizer=base, config=settings, dist_init_required=False
    )
    check_sharding(engine.optimizer, sizes, world)
    return Engine(engine, peaks, norm_is_gradient=optimizer.name == "adamw")


def engine_settings(optimizer: OptimizerConfig, parameters: int, micro_batch_rows: int) -> dict[str, Any]:
    """The DeepSpeed dictionary for ZeRO-1 in bf16 with fp32 masters. Never written by the user.

    Accumulation is counted by us (`set_gradient_accumulation_boundary`), so DeepSpeed is told 1 and scales nothing.
    Muon is not clipped, see `optimizer.py`.
    """
    bucket = max(2**20, min(parameters, REDUCE_BUCKET))
    return {
        "train_micro_batch_size_per_gpu": micro_batch_rows,
        "gradient_accumulation_steps": 1,
        # The check defaulted to False until DeepSpeed PR 8035: one infinite gradient then poisoned the masters.
        "bf16": {"enabled": True, "check_grad_overflow": True},
        "data_types": {"grad_accum_dtype": "bf16"},
        # Sums over ranks in fp32; each rank's own bf16 gradients go in.
        "communication_data_type": "fp32",
        "zero_optimization": {
            "stage": 1,
            # Overlap costs a second copy of the bucket and buys nothing where the backward pass is the bottleneck.
            "overlap_comm": False,
            "contiguous_gradients": True,
            "reduce_scatter": True,
            "reduce_bucket_size": bucket,
            "allgather_bucket_size": bucket,
        },
        "gradient_clipping": optimizer.gradient_clip if optimizer.name == "adamw" else 0.0,
        "steps_per_print": None,
        "wall_clock_breakdown": False,
    }


def check_sharding(optimizer: Any, group_sizes: list[int], world: int) -> None:
    """Each rank must hold 1/world of the fp32 masters (plus padding). Raises MachineError otherwise."""
    import deepspeed

    partitions = getattr(optimizer, "single_partition_of_fp32_groups", None)
    if partitions is None:
        raise MachineError(
            f"DeepSpeed {deepspeed.__version__} built {type(optimizer).__name__}, which is not sharded over ranks. "
            "eurolm knows DeepSpeed 0.18.2 to 0.19.x: install one of these."
        )
    held = sum(partition.numel() * partition.element_size() for partition in partitions)
    # Each group is padded to a multiple of world × a small alignment factor.
    most = sum(4 * (size // world + 1 + 8 * world) for size in group_sizes)
    if held > most:
        raise MachineError(
            f"DeepSpeed {deepspeed.__version__} holds {held:,} bytes of master weights on this rank; sharded over "
            f"{world} ranks it should hold at most {most:,}. eurolm knows DeepSpeed 0.18.2 to 0.19.x."
        )
