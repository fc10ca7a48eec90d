"""AdamW or Muon over parameter groups with and without weight decay.

Muon is DeepSpeed's: at ZeRO-1 and 2 it orthogonalises each matrix while the gradients of a rank's partition are put
together, so what DeepSpeed calls the gradient there already is the update. Two consequences: clipping by the gradient
norm must be off, because it would shrink updates of fixed size (a norm near 100 for 10 matrices against a limit of 1),
and the norm that DeepSpeed reports means nothing.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from eurolm.config.train import OptimizerConfig
from eurolm.errors import MachineError
from eurolm.model.parts import part_of

MUON_MOMENTUM = 0.95
"""Momentum of Muon (Keller Jordan, 2024; the value of arXiv 2502.16982 too)."""

Groups = dict[tuple[bool, str | None], list[nn.Parameter]]


def split_parameters(model: Any, separate: frozenset[str] = frozenset()) -> Groups:
    """(hidden matrix?, part) → parameters: matrices of the layers, and the rest (vectors, embedding and output head).

    `part` is None but for the parts in `separate` ("embeddings", "head", "body"), which get groups of their own, so
    that a run without freezing has the same two groups whatever the model.
    """
    groups: Groups = {}
    for name, parameter in model.named_parameters():
        part = part_of(model, name)
        matrix = parameter.dim() >= 2 and part == "body"
        groups.setdefault((matrix, part if part in separate else None), []).append(parameter)
    return dict(sorted(groups.items(), key=lambda item: (not item[0][0], item[0][1] or "")))


def build_optimizer(
    model: Any, config: OptimizerConfig, separate: frozenset[str] = frozenset()
) -> torch.optim.Optimizer:
    """The optimizer that DeepSpeed shards; learning rates of its groups are the peaks, `part` names their part."""
    adam = {"lr": config.learning_rate, "betas": (config.beta1, config.beta2), "eps": config.epsilon}
    muon = config.name == "muon"
    groups: list[dict[str, Any]] = []
    for (matrix, part), parameters in split_parameters(model, separate).items():
        group = {"params": parameters, "weight_decay": config.weight_decay if matrix else 0.0}
        if not muon:
            groups.append({**group, **adam, "part": part})
            continue
        for parameter in parameters:
            parameter.use_muon = matrix  # type: ignore[attr-defined]
        # Newton–Schulz in bf16; the "gram" variant is fp16, which CPUs multiply slowly.
        rule = {"lr": config.muon_learning_rate, "momentum": MUON_MOMENTUM, "ns_method": "standard"} if matrix else adam
        groups.append({**group, **rule, "use_muon": matrix, "part": part})
    if not muon:
        # torch's fused AdamW: DeepSpeed's own would compile C++ at first use, 234 s on two cores.
        return torch.optim.AdamW(groups, fused=True)
    from deepspeed.runtime.zero.muon.muon_optimizer import MuonWithAuxAdam

    parts = [group.pop("part") for group in groups]
    optimizer = MuonWithAuxAdam(groups, adam_optimizer=torch.optim.AdamW, adam_optimizer_kwargs={"fused": True})
    for group, part in zip(optimizer.param_groups, parts, strict=True):
        group["part"] = part
    return optimizer


def check_muon() -> None:
    """Raise MachineError where a skipped step would leave NaN in Muon's momentum for the rest of the run."""
    import deepspeed
    from deepspeed.runtime.zero.muon.muon_optimizer import MuonWithAuxAdam
    from deepspeed.runtime.zero.stage_1_and_2 import DeepSpeedZeroOptimizer

    sharded_adam = "adam_optimizer" in inspect.signature(MuonWithAuxAdam.__init__).parameters
    skips_cleanly = hasattr(DeepSpeedZeroOptimizer, "_commit_muon_momentum")
    if not (sharded_adam and skips_cleanly):
        raise MachineError(
            "train.optimizer.name = muon needs a DeepSpeed whose Muon survives a skipped step; "
            f"{deepspeed.__version__} does not know how (0.19.8 does). Set train.optimizer.name=adamw, or install a "
            "newer DeepSpeed."
        )
