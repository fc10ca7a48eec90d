"""The DeepSpeed dictionary, generated from the config and never written by the user; what is refused, and why.

Accumulation is counted by us (`set_gradient_accumulation_boundary`), so DeepSpeed is told 1 and scales nothing. Every
data type is explicit: DeepSpeed chooses by them which optimizer it wraps around ours, and some combinations silently
give one that is not sharded (0.18.2: `grad_accum_dtype: fp32` at ZeRO-1). No torch here, so that a login node can ask.
"""

from __future__ import annotations

from typing import Any

from eurolm.config.train import TrainConfig
from eurolm.errors import ConfigError

REDUCE_BUCKET = 2**27
"""Most elements reduced at once; smaller models reduce in one call."""
REFUSED = {
    "tensor_parallel": "DeepSpeed's AutoTP splits weights behind the names that checkpoints, receipts and the chunked "
    "loss go by, and published runs of up to 8B lose 15 to 20 points of utilisation to it against ZeRO",
    "sequence_parallel": "DeepSpeed's Ulysses attention drops the document mask of packed rows with SDPA, so documents "
    "would see each other",
}


def check_engine(train: TrainConfig) -> None:
    """Refuse what this engine cannot do right. Raises ConfigError."""
    for name, reason in REFUSED.items():
        if (value := getattr(train, name)) != 1:
            raise ConfigError(f"train.{name} = {value}, but {reason}. Set it to 1; zero_stage 3 splits larger models.")
    stage = train.zero_stage
    if train.hpz_ranks is not None and (stage != 3 or train.ranks % train.hpz_ranks):
        raise ConfigError(
            f"train.hpz_ranks = {train.hpz_ranks} needs train.zero_stage = 3 (it is {stage}) and must divide "
            f"train.ranks = {train.ranks}. Set it to the ranks of one node, or leave it out."
        )
    if train.optimizer.name == "muon" and stage not in (1, 2):
        raise ConfigError(
            f"train.optimizer.name = muon with train.zero_stage = {stage}: DeepSpeed's Muon skips no bad "
            "step outside ZeRO 1 and 2, and refuses reduce-scatter at 3. Set train.zero_stage=1, or take adamw."
        )
    if train.accumulation_dtype == "fp32" and (stage != 2 or train.optimizer.name == "muon"):
        raise ConfigError(
            f"train.accumulation_dtype = fp32 with train.zero_stage = {stage} and {train.optimizer.name}: DeepSpeed "
            "refuses it at stage 0, builds another optimizer at 1 (0.18.2 one that is not sharded), ignores it at 3, "
            "and its Muon mixes types. Set it to bf16, or use AdamW at stage 2."
        )


def check_freeze(train: TrainConfig, tied: bool) -> None:
    """Refuse to freeze what a model with a `tied` head does not have. Raises ConfigError."""
    if tied and "head" in train.freeze:
        raise ConfigError(
            "train.freeze.head: the model's output head is its embedding and learns with that. Freeze embeddings, or "
            "set model.tie_embeddings=false."
        )


def engine_settings(
    train: TrainConfig, parameters: int, micro_batch_rows: int, accelerator: bool = False
) -> dict[str, Any]:
    """The dictionary for `deepspeed.initialize` in bf16 with fp32 masters.

    `parameters` sizes the buckets; on an `accelerator` ZeRO-3 communicates beside computing. Muon is not clipped, see
    `optimizer.py`.
    """
    return {
        "train_micro_batch_size_per_gpu": micro_batch_rows,
        "gradient_accumulation_steps": 1,
        # The check defaulted to False until DeepSpeed PR 8035: one infinite gradient then poisoned the masters.
        "bf16": {"enabled": True, "check_grad_overflow": True},
        "data_types": {"grad_accum_dtype": train.accumulation_dtype},
        # Sums over ranks; each rank's own gradients go in as they are accumulated.
        "communication_data_type": train.communication_dtype,
        "zero_optimization": _zero(train, max(2**20, min(parameters, REDUCE_BUCKET)), accelerator),
        "gradient_clipping": train.optimizer.gradient_clip if train.optimizer.name == "adamw" else 0.0,
        "steps_per_print": None,
        "wall_clock_breakdown": False,
    }


def _zero(train: TrainConfig, bucket: int, accelerator: bool) -> dict[str, Any]:
    common = {
        "stage": train.zero_stage,
        # Below stage 3 overlap costs a second copy of the bucket and buys nothing where the backward pass is the
        # bottleneck. On a CPU there is nothing to overlap with.
        "overlap_comm": accelerator and train.zero_stage == 3,
        "contiguous_gradients": True,
        "reduce_scatter": True,
        "reduce_bucket_size": bucket,
        "allgather_bucket_size": bucket,
    }
    if train.zero_stage == 3 and train.hpz_ranks is not None:
        common["zero_hpz_partition_size"] = train.hpz_ranks
    return common
