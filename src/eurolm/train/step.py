"""One training step: micro-batches, one agreement over all ranks, one update.

The agreement is a single small all-reduce before the last backward pass. It carries the loss sum and every rank's
wishes (stop, save, …), so all ranks decide the same thing. Where the global loss is not finite, the last
micro-batch's loss is multiplied by NaN on every rank: DeepSpeed then finds non-finite gradients and skips the update
everywhere, the same way it does for a gradient that overflowed by itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from eurolm.errors import InputError
from eurolm.train.attention import document_spans
from eurolm.train.engine import Engine


@dataclass(frozen=True)
class Wishes:
    """What this rank would like to happen after the step."""

    stop: bool = False
    save: bool = False
    save_failed: bool = False
    """The checkpoint on its way did not arrive."""


@dataclass(frozen=True)
class StepRecord:
    """What happened in one step; equal on every rank except `step_s`."""

    step: int
    """Steps finished, this one included."""
    samples: int
    """Samples consumed, this step's included."""
    tokens: int
    """Tokens (rows × row length) of this step."""
    valid_targets: int
    """Targets of the global batch that count."""
    loss: float
    """Mean loss per valid target of the global batch, in nats."""
    learning_rate: float
    """Highest learning rate of the parameter groups: that of what is not frozen."""
    grad_norm: float | None
    """Norm of the whole gradient before clipping; None where the step was skipped, the optimizer hides it, or it is
    beyond fp32."""
    applied: bool
    """False where the update was skipped because something was not finite."""
    step_s: float
    """Wall-clock seconds of this rank, reading its rows included."""
    agreed: Wishes
    """Union of all ranks' wishes."""


def rank_samples(plan: Any, rank: int, world: int) -> range:
    """The samples of a step that belong to `rank`: contiguous, in rank order."""
    share = plan.rows // world
    first = plan.first_sample + rank * share
    return range(first, first + share)


def micro_batches(mixture: Any, samples: range, micro_batch_rows: int | None, vocabulary: int) -> Iterator[Any]:
    """Batches of at most `micro_batch_rows` rows in sample order, for a model of `vocabulary` embedding rows.

    Raises InputError for an id that the model does not have: a GPU would say no more than that an assertion failed.
    """
    size = micro_batch_rows or len(samples)
    for start in range(0, len(samples), size):
        wanted = samples[start : start + size]
        batch = mixture.rows(list(wanted))
        low, high = int(batch.input_ids.min()), int(max(batch.input_ids.max(), batch.targets.max()))
        if low < 0 or high >= vocabulary:
            raise InputError(
                f"samples {wanted.start:,} to {wanted.stop - 1:,} hold the token id {low if low < 0 else high:,}, but "
                f"the model has {vocabulary:,} rows of embedding: the shards were encoded with another tokenizer. "
                "Set tokenizer.use to theirs, or encode again."
            )
        yield batch


def take_step(engine: Engine, plan: Any, batches: list[Any], wishes: Wishes, began: float | None = None) -> StepRecord:
    """Run one step over this rank's micro-batches, at the learning rates that are set. `began` is when reading them did
    (`time.perf_counter`)."""
    started = time.perf_counter() if began is None else began
    world = dist.get_world_size()
    # DeepSpeed averages gradients over ranks; we want the sum over ranks divided by the global count of targets.
    scale = world / max(1, plan.valid_targets)
    local = torch.zeros((), dtype=torch.float64, device=engine.device)
    for number, batch in enumerate(batches, start=1):
        last = number == len(batches)
        engine.deepspeed.set_gradient_accumulation_boundary(last)
        loss = engine.deepspeed(*_tensors(batch, engine.device), **_spans(batch, engine))
        local += loss.detach().double()
        if last:
            agreed = agree(local, wishes)
            loss = loss * torch.where(agreed[0].isfinite(), 1.0, math.nan)
        engine.deepspeed.backward(loss * scale)
    applied = engine.step()
    total, *flags = agreed.tolist()
    norm = float(engine.deepspeed.get_global_grad_norm()) if applied and engine.norm_is_gradient else math.inf
    return StepRecord(
        step=plan.step + 1,
        samples=plan.first_sample + plan.rows,
        tokens=plan.rows * plan.row_tokens,
        valid_targets=plan.valid_targets,
        loss=total / max(1, plan.valid_targets),
        learning_rate=max(group["lr"] for group in engine.deepspeed.optimizer.param_groups),
        grad_norm=norm if math.isfinite(norm) else None,
        applied=applied,
        step_s=time.perf_counter() - started,
        agreed=Wishes(*(flag > 0 for flag in flags)),
    )


def agree(loss_sum: torch.Tensor, wishes: Wishes) -> torch.Tensor:
    """Sum over ranks of the loss sum and of each wish in the order of `Wishes`, float64 [4] on the loss's device."""
    flags = torch.tensor(astuple(wishes), dtype=torch.float64, device=loss_sum.device)
    vector = torch.cat([loss_sum[None], flags])
    dist.all_reduce(vector)
    return vector


def _tensors(batch: Any, device: torch.device) -> tuple[torch.Tensor, ...]:
    arrays: tuple[np.ndarray[Any, Any], ...] = (batch.input_ids, batch.position_ids, batch.targets)
    return tuple(torch.from_numpy(array).to(device) for array in arrays)


def _spans(batch: Any, engine: Engine) -> dict[str, Any]:
    return document_spans(engine.model, batch.position_ids, engine.device)


def probe_loss(engine: Engine, batch: Any) -> float:
    """Summed loss of `batch` under the weights as they are, without gradients; every rank must call this."""
    with torch.no_grad():
        return float(engine.deepspeed.module(*_tensors(batch, engine.device), **_spans(batch, engine)))
