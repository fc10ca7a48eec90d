"""AdamW or Muon over parameter groups with and without weight decay.

Muon is DeepSpeed's: at ZeRO-1 it orthogonalises each matrix while the gradients of a rank's partition are put together,
so what DeepSpeed calls the gradient there already is the update. Two consequences: clipping by the gradient norm must
be off, because it would shrink updates of fixed size (a norm near 100 for 10 matrices against a limit of 1), and the
norm that DeepSpeed reports means nothing.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from eurolm.config.train import OptimizerConfig
from eurolm.errors import MachineError

MUON_MOMENTUM = 0.95
"""Momentum of Muon (Keller Jordan, 2024; the value of arXiv 2502.16982 too)."""


def split_parameters(model: Any) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Hidden matrices, and the rest: vectors, the embedding and the output head."""
    embeddings = {id(module.weight) for module in (model.get_input_embeddings(), model.get_output_embeddings())}
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in model.parameters():
        plain = parameter.dim() < 2 or id(parameter) in embeddings
        (rest if plain else matrices).append(parameter)
    return matrices, rest


def build_optimizer(model: Any, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimizer that DeepSpeed shards; learning rates of its groups are the peaks.

    Raises MachineError for Muon on a DeepSpeed whose Muon cannot be trusted.
    """
    matrices, rest = split_parameters(model)
    adam = {"betas": (config.beta1, config.beta2), "eps": config.epsilon}
    decay = {"weight_decay": config.weight_decay}
    plain = {"params": rest, "lr": config.learning_rate, "weight_decay": 0.0, **adam}
    if config.name == "adamw":
        # torch's fused AdamW: DeepSpeed's own would compile C++ at first use, 234 s on two cores.
        return torch.optim.AdamW([{"params": matrices, "lr": config.learning_rate, **decay, **adam}, plain], fused=True)
    for parameter in matrices:
        parameter.use_muon = True  # type: ignore[attr-defined]
    for parameter in rest:
        parameter.use_muon = False  # type: ignore[attr-defined]
    muon = {"params": matrices, "lr": config.muon_learning_rate, "momentum": MUON_MOMENTUM, "use_muon": True, **decay}
    # Newton–Schulz in bf16; the "gram" variant is fp16, which CPUs multiply slowly.
    return muon_class()(
        [{**muon, "ns_method": "standard"}, {**plain, "use_muon": False}],
        adam_optimizer=torch.optim.AdamW,
        adam_optimizer_kwargs={"fused": True},
    )


def muon_class() -> Any:
    """DeepSpeed's Muon. Raises MachineError where a skipped step would leave NaN in its momentum."""
    import deepspeed
    from deepspeed.runtime.zero.muon.muon_optimizer import MuonWithAuxAdam
    from deepspeed.runtime.zero.stage_1_and_2 import DeepSpeedZeroOptimizer

    sharded_adam = "adam_optimizer" in inspect.signature(MuonWithAuxAdam.__init__).parameters
    # Without it a skipped step leaves NaN in the momentum for the rest of the run.
    skips_cleanly = hasattr(DeepSpeedZeroOptimizer, "_commit_muon_momentum")
    if not (sharded_adam and skips_cleanly):
        raise MachineError(
            "train.optimizer.name = muon needs a DeepSpeed whose Muon survives a skipped step; "
            f"{deepspeed.__version__} does not know how (0.19.8 does). Set train.optimizer.name=adamw, or install a "
            "newer DeepSpeed."
        )
    return MuonWithAuxAdam
