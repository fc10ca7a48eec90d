"""How a model is spread over the devices of a job: ZeRO stage, recomputation, micro-batch.

Of the layouts that fit, the one whose step is estimated quickest is taken: recomputing costs arithmetic, and ZeRO-2 and
3 communicate after every micro-batch. Where a machine's peak is not known, the simplest that fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from eurolm.cluster.plan_record import LayoutRecord, LayoutRow, MemoryRecord, layout_key
from eurolm.cluster.step_time import Machine, StepTime, step_time
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
    machine: Machine | None = None
    """What layouts are compared on; null where the device's peak is not known."""


@dataclass(frozen=True)
class Placed:
    """A layout, the memory it takes, and the estimate it was chosen by."""

    layout: LayoutRecord
    memory: MemoryRecord
    time: StepTime | None
    """Per token of a rank, over all phases."""
    compared: tuple[LayoutRow, ...] = ()
    """All that were compared, the chosen one among them."""

    @property
    def name(self) -> str:
        """For people."""
        return _name(self.layout.zero_stage, self.layout.checkpointing)


def choose_layout(request: Request) -> Placed:
    """The quickest layout that fits. Raises ConfigError where none does, with what it would take."""
    placed = [_place(request, stage, checkpointing) for stage, checkpointing in _candidates(request)]
    room = request.device_bytes
    fitting = [one for one in placed if room is None or one.memory.total <= room]
    if not fitting:
        least = min(placed, key=lambda one: one.memory.total)
        rows = max(least.layout.micro_batch_rows)
        one_pass = f"{rows} row{'s' * (rows > 1)} per forward pass"
        fewer = "fewer micro_batch_rows, " if rows > 1 else ""
        raise ConfigError(
            f"no layout fits: the most sparing one, {least.name} with {one_pass}, needs "
            f"{least.memory.total / 1e9:,.1f} GB on a device that has {(room or 0) / 1e9:,.1f} GB "
            f"({request.device_source}). Take more nodes (ZeRO shares masters and moments over {request.ranks} ranks "
            f"now), {fewer}shorter rows, or a smaller model."
        )
    # The order of the candidates decides between equals, and where nothing is known of the device.
    best = min(fitting, key=lambda one: one.time.total if one.time else 0.0)
    too_large = [one for one in placed if one not in fitting]
    compared = tuple(_compared(one, best, one in fitting) for one in placed)
    return replace(best, layout=replace(best.layout, why=_why(best, fitting, too_large, request)), compared=compared)


def _compared(one: Placed, best: Placed, fits: bool) -> LayoutRow:
    slower = one.time.total / best.time.total - 1 if fits and one.time and best.time else None
    return LayoutRow(layout_key(one.layout), one.memory, fits, slower)


def _candidates(request: Request) -> list[tuple[int, Checkpointing]]:
    train, found = request.train, []
    refusal: ConfigError | None = None
    for stage, checkpointing in ((0, "none"), (0, "full"), *CANDIDATES):
        if "zero_stage" in request.fixed and stage != train.zero_stage:
            continue
        if stage == 0 and "zero_stage" not in request.fixed:
            continue
        if "activation_checkpointing" in request.fixed and checkpointing != train.activation_checkpointing:
            continue
        try:
            check_engine(train.model_copy(update={"zero_stage": stage, "ranks": request.ranks}))
        except ConfigError as error:
            refusal = error
            continue
        found.append((stage, checkpointing))
    if refusal is not None and not found:
        raise refusal
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
    return Placed(layout, most, _time(request, layout, wire))


def _time(request: Request, layout: LayoutRecord, wire: int) -> StepTime | None:
    """Estimate per token of a rank, phases weighed by their tokens."""
    if request.machine is None:
        return None
    tokens = [phase.samples * phase.row_tokens for phase in request.phases]
    arithmetic = communication = 0.0
    for phase, rows, part in zip(request.phases, layout.micro_batch_rows, tokens, strict=True):
        found = step_time(
            request.shape, request.machine, row_tokens=phase.row_tokens, share_rows=phase.batch_rows // request.ranks,
            micro_batch_rows=rows, stage=layout.zero_stage, hpz=layout.hpz_ranks is not None,
            checkpointing=layout.checkpointing, wire_bytes=wire,
        )  # fmt: skip
        arithmetic += found.arithmetic * part / sum(tokens)
        communication += found.communication * part / sum(tokens)
    return StepTime(arithmetic, communication)


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
        record = replace(base, activations=asked.peak, logits=asked.logits, accumulating=base.accumulating)
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


def _why(best: Placed, fitting: Sequence[Placed], too_large: Sequence[Placed], request: Request) -> str:
    room = f" of {request.device_bytes / 1e9:,.1f}" if request.device_bytes else ""
    text = f"{best.name} takes {best.memory.total / 1e9:,.1f}{room} GB"
    others = sorted((one for one in fitting if one is not best), key=lambda one: one.time.total if one.time else 0.0)
    if best.time and others and others[0].time:
        slower = others[0].time.total / best.time.total - 1
        text += f"; the next of the {len(fitting)} that fit, {others[0].name}, is estimated {slower:.0%} slower"
    elif best.time is None:
        text += "; nothing is known of the device's speed, so it is the simplest that fits"
    if too_large:
        first = too_large[0]
        others_too = f" and {len(too_large) - 1} more" if len(too_large) > 1 else ""
        text += f"; too large: {first.name} ({first.memory.total / 1e9:,.1f} GB){others_too}"
    fixed = sorted(request.fixed & {"zero_stage", "activation_checkpointing", "micro_batch_rows"})
    return text + (f"; set by the config: {', '.join(fixed)}" if fixed else "")
