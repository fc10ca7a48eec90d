"""How a model is spread over the devices of a job: ZeRO stage, recomputation, micro-batch. Chosen by what fits.

Candidates are tried from the quickest to the most sparing; the first that fits is taken. Recomputing everything costs a
third more arithmetic, ZeRO-3 half as much communication again as ZeRO-2, so they come last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from eurolm.cluster.plan_record import LayoutRecord, MemoryRecord
from eurolm.config.tokens import PhaseConfig
from eurolm.config.train import TrainConfig
from eurolm.errors import ConfigError
from eurolm.model import memory
from eurolm.model.memory import Checkpointing
from eurolm.model.size import Shape
from eurolm.train.settings import REDUCE_BUCKET, check_engine

Attention = Literal["eager", "sdpa", "flash_attention_2"]
CANDIDATES: tuple[tuple[int, Checkpointing], ...] = (
    (1, "none"), (2, "none"), (1, "selective"), (2, "selective"), (3, "none"), (3, "selective"),
    (1, "full"), (2, "full"), (3, "full"),
)  # fmt: skip
FRAGMENTATION = 0.08
"""Memory lost between blocks of the allocator: a planning value."""
RUNTIME_BYTES = 2_000_000_000
"""Context of the device and buffers of the collectives: a planning value."""


@dataclass(frozen=True)
class Request:
    """What has to be placed, and what the config leaves open."""

    shape: Shape
    phases: tuple[PhaseConfig, ...]
    train: TrainConfig
    ranks: int
    ranks_per_node: int
    device_bytes: int | None
    device_source: str
    attention: Attention
    fixed: frozenset[str]
    """Fields of `train` that the config sets: `zero_stage`, `activation_checkpointing`, `micro_batch_rows`,
    `hpz_ranks`."""


@dataclass(frozen=True)
class Placed:
    """A layout and the memory it takes."""

    layout: LayoutRecord
    memory: MemoryRecord


def choose_layout(request: Request) -> Placed:
    """The first candidate that fits. Raises ConfigError where none does, with what it would take."""
    rejected: list[tuple[str, int]] = []
    for stage, checkpointing in _candidates(request):
        placed = _place(request, stage, checkpointing)
        fits = request.device_bytes is None or placed.memory.total <= request.device_bytes
        if fits:
            return replace(placed, layout=replace(placed.layout, why=_why(placed, rejected, request)))
        rejected.append((_name(stage, checkpointing), placed.memory.total))
    least = min(rejected, key=lambda item: item[1])
    raise ConfigError(
        f"no layout fits: the most sparing one, {least[0]} with one row per forward pass, needs "
        f"{least[1] / 1e9:,.1f} GB on a device that has {(request.device_bytes or 0) / 1e9:,.1f} GB "
        f"({request.device_source}). Take more nodes (ZeRO shares masters and moments over {request.ranks} ranks now), "
        "shorter rows, or a smaller model."
    )


def _candidates(request: Request) -> list[tuple[int, Checkpointing]]:
    train, found = request.train, []
    for stage, checkpointing in ((0, "none"), (0, "full"), *CANDIDATES):
        if "zero_stage" in request.fixed and stage != train.zero_stage:
            continue
        if stage == 0 and "zero_stage" not in request.fixed:
            continue
        if "activation_checkpointing" in request.fixed and checkpointing != train.activation_checkpointing:
            continue
        try:
            check_engine(train.model_copy(update={"zero_stage": stage, "ranks": request.ranks}))
        except ConfigError:
            if "zero_stage" in request.fixed:
                raise
            continue
        found.append((stage, checkpointing))
    return found  # type: ignore[return-value]


def _place(request: Request, stage: int, checkpointing: Checkpointing) -> Placed:
    """The layout with the largest micro-batches that fit, phase by phase; one row where none fits."""
    groups = memory.parameter_groups(request.shape)
    width = 4 if request.train.accumulation_dtype == "fp32" else 2
    hpz = _hpz(request, stage)
    held = memory.states(
        groups, stage=stage, ranks=request.ranks, optimizer=request.train.optimizer.name, accumulation_bytes=width,
        hpz_ranks=hpz,
    )  # fmt: skip
    wire = 4 if request.train.communication_dtype == "fp32" else 2
    base = MemoryRecord(
        weights=held.weights, gradients=held.gradients, masters=held.masters, moments=held.moments,
        secondary=held.secondary,
        accumulating=memory.accumulating(groups, held, stage=stage, accumulation_bytes=width),
        updating=memory.updating(groups, stage=stage, ranks=request.ranks),
        buckets=memory.buckets(groups, stage=stage, reduce_bucket=REDUCE_BUCKET, communication_bytes=wire),
        activations=0, reserve=0, device=request.device_bytes,
    )  # fmt: skip
    chosen = [_micro_batch(request, phase, checkpointing, base) for phase in request.phases]
    most = max((record for _, record in chosen), key=lambda record: record.total)
    rows = tuple(rows for rows, _ in chosen)
    layout = LayoutRecord(
        zero_stage=stage, hpz_ranks=hpz, checkpointing=checkpointing, attention=request.attention,
        micro_batch_rows=rows, overrides=_overrides(request, stage, checkpointing, hpz, rows), why="",
    )  # fmt: skip
    return Placed(layout, most)


def _hpz(request: Request, stage: int) -> int | None:
    if stage != 3 or "hpz_ranks" in request.fixed:
        return request.train.hpz_ranks if stage == 3 else None
    # A second copy inside the node keeps the backward pass off the network; on one node there is nothing to gain.
    return request.ranks_per_node if request.ranks > request.ranks_per_node > 1 else None


def _micro_batch(
    request: Request, phase: PhaseConfig, checkpointing: Checkpointing, base: MemoryRecord
) -> tuple[int, MemoryRecord]:
    share = phase.batch_rows // request.ranks
    given = phase.micro_batch_rows or (request.train.micro_batch_rows if "micro_batch_rows" in request.fixed else None)
    sizes = [given] if given else [rows for rows in range(share, 0, -1) if share % rows == 0]
    record = base
    for rows in sizes:
        asked = memory.activations(
            request.shape, rows=rows, row_tokens=phase.row_tokens, checkpointing=checkpointing,
            attention=request.attention,
        )  # fmt: skip
        # Several micro-batches are added up; one alone needs no second buffer.
        record = replace(base, activations=asked.peak, accumulating=base.accumulating)
        record = replace(record, reserve=RUNTIME_BYTES + int(FRAGMENTATION * record.total))
        if request.device_bytes is None or record.total <= request.device_bytes:
            break
    return rows, record


def _overrides(
    request: Request, stage: int, checkpointing: Checkpointing, hpz: int | None, rows: Sequence[int]
) -> tuple[str, ...]:
    """What `eurolm launch` adds to the config; the default of a field needs no override."""
    found = []
    if "zero_stage" not in request.fixed and stage != request.train.zero_stage:
        found.append(f"train.zero_stage={stage}")
    if "activation_checkpointing" not in request.fixed and checkpointing != request.train.activation_checkpointing:
        found.append(f"train.activation_checkpointing={checkpointing}")
    if hpz is not None and hpz != request.train.hpz_ranks:
        found.append(f"train.hpz_ranks={hpz}")
    if "micro_batch_rows" not in request.fixed:
        found += [
            f"mixture.phases.{number}.micro_batch_rows={size}"
            for number, (size, phase) in enumerate(zip(rows, request.phases, strict=True))
            if phase.micro_batch_rows is None and size != phase.batch_rows // request.ranks
        ]
    return tuple(found)


def _name(stage: int, checkpointing: str) -> str:
    recompute = {"none": "nothing recomputed", "selective": "cheap results recomputed", "full": "layers recomputed"}
    return f"ZeRO-{stage} with {recompute[checkpointing]}"


def _why(placed: Placed, rejected: Sequence[tuple[str, int]], request: Request) -> str:
    name = _name(placed.layout.zero_stage, placed.layout.checkpointing)
    if request.device_bytes is None:
        return f"{name}: the device's memory is not known, so the quickest layout is taken"
    used = f"{placed.memory.total / 1e9:,.1f} of {request.device_bytes / 1e9:,.1f} GB"
    fixed = sorted(request.fixed & {"zero_stage", "activation_checkpointing", "micro_batch_rows"})
    text = f"{name} takes {used}"
    if rejected:
        text += "; quicker ones do not fit: " + ", ".join(f"{name} {size / 1e9:,.1f} GB" for name, size in rejected)
    return text + (f"; set by the config: {', '.join(fixed)}" if fixed else "")
