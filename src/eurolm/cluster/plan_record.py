"""What a plan says and a rehearsal measured, as records in `runs/<name>/plan.json` and `rehearsal.json`.

The plan is the contract of a launched run: `audit` compares it with what is measured while the run goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from eurolm.artifacts.atomic import write_json
from eurolm.errors import InputError
from eurolm.model.memory import Checkpointing

PLAN_FILE, REHEARSAL_FILE = "plan.json", "rehearsal.json"
SCHEMA = 1
ALARM = 0.15
"""Deviation from the plan that raises an alarm."""


@dataclass(frozen=True)
class Range:
    """Low end, middle and high end; equal where the value was measured."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class LayoutRecord:
    """How the model is spread over the devices."""

    zero_stage: int
    hpz_ranks: int | None
    checkpointing: Checkpointing
    attention: str
    micro_batch_rows: tuple[int, ...]
    """Rows per forward pass and rank, phase by phase."""
    overrides: tuple[str, ...]
    """What the plan chose, as overrides of the config; fields the config sets are not among them."""
    why: str


@dataclass(frozen=True)
class MemoryRecord:
    """Bytes on the fullest device, in the phase that needs most."""

    weights: int
    gradients: int
    masters: int
    moments: int
    secondary: int
    accumulating: int
    updating: int
    buckets: int
    activations: int
    reserve: int
    """Fragmentation, and what the runtime and the collectives keep: planning values."""
    device: int | None
    """What a device has; null where the profile does not know."""
    logits: int = 0
    """Of the activations: while the loss of a chunk is computed."""

    @property
    def total(self) -> int:
        """Greatest at once: gradients of micro-batches and activations are gone when the weights are updated."""
        held = self.weights + self.gradients + self.masters + self.moments + self.secondary
        return held + max(self.accumulating + self.buckets + self.activations, self.updating) + self.reserve


@dataclass(frozen=True)
class LayoutRow:
    """A layout that was compared: with the largest micro-batches that fit, or with one row where none does."""

    layout: str
    """`layout_key` of it."""
    memory: MemoryRecord
    fits: bool
    slower: float | None
    """Estimated step time over that of the chosen layout, less 1; null where it does not fit or nothing is known."""


@dataclass(frozen=True)
class StorageNeed:
    """Bytes and files in a storage area, against its quota."""

    area: str
    path: str | None
    need_bytes: int
    need_files: int
    quota_bytes: int | None
    quota_files: int | None
    billed_tb_hours: float | None

    @property
    def fits(self) -> bool | None:
        """Whether both are within the default quota; null where a quota is not known."""
        pairs = ((self.need_bytes, self.quota_bytes), (self.need_files, self.quota_files))
        if any(quota is not None and need > quota for need, quota in pairs):
            return False
        return None if self.quota_bytes is None else True


@dataclass(frozen=True)
class Check:
    """Something looked at before the job is submitted. `passed` is null where it cannot be known yet."""

    name: str
    passed: bool | None
    text: str


@dataclass(frozen=True)
class ScalingRow:
    """The same run on another number of nodes."""

    nodes: int
    ranks: int
    layout: str
    tokens_per_s: Range
    hours: Range
    units: Range
    jobs: int
    measured: bool


@dataclass(frozen=True)
class Plan:
    """Everything a plan states. Bytes, seconds, hours and kWh as named; ranges are of the whole training."""

    schema: int
    run: str
    cluster: str
    made_at: str
    model: str
    parameters: int
    steps: int
    samples: int
    tokens: int
    partition: str | None
    nodes: int
    ranks: int
    layout: LayoutRecord
    memory: MemoryRecord
    tokens_per_s_per_device: Range | None
    """Null where nothing is known of the device."""
    measured: bool
    """Whether the speed was measured by a rehearsal."""
    basis: str
    mfu: Range | None
    """Model FLOPs utilisation by 6N."""
    step_s: Range | None
    hours: Range | None
    jobs: int
    job_hours: float | None
    """Time limit of one job."""
    start_s: float
    save_s: float
    unit: str
    units: Range | None
    energy_kwh: Range | None
    market_kg: Range | None
    location_kg: Range | None
    checkpoint_bytes: int
    checkpoint_files: int
    storage: tuple[StorageNeed, ...]
    checks: tuple[Check, ...]
    scaling: tuple[ScalingRow, ...]
    notes: tuple[str, ...]
    layouts: tuple[LayoutRow, ...] = ()
    """Every ZeRO stage and kind of recomputation that the config leaves open."""


@dataclass(frozen=True)
class RehearsalRun:
    """One node count of a rehearsal."""

    nodes: int
    ranks: int
    steps: int
    tokens_per_s_per_device: float
    """Median over the steps after the first few."""
    step_s: float
    peak_memory_bytes: int | None
    """On the fullest device; null where the backend does not say."""


@dataclass(frozen=True)
class Rehearsal:
    """What `eurolm launch --rehearse` measured."""

    schema: int
    run: str
    cluster: str
    measured_at: str
    layout: str
    """`layout_key` of the layout it ran with: another layout is another speed."""
    runs: tuple[RehearsalRun, ...]
    save_s: float | None
    """Training blocked by one checkpoint."""
    load_s: float | None
    start_s: float | None
    """From the start of the job to the first step, loading excluded."""


@dataclass(frozen=True)
class Measured:
    """What a running training shows; null where it shows nothing."""

    tokens_per_s_per_device: float | None = None
    peak_memory_bytes: int | None = None
    save_s: float | None = None
    units_expected: float | None = None
    """Billing units the whole training will have used, projected from its progress."""
    energy_kwh_expected: float | None = None


@dataclass(frozen=True)
class Deviation:
    """A planned figure beside the measured one."""

    what: str
    planned: float
    measured: float
    within_range: bool
    alarm: bool
    text: str


def layout_key(layout: LayoutRecord) -> str:
    """A layout in one word, such as `zero1-none-flash_attention_2-mb4`."""
    rows = "/".join(map(str, layout.micro_batch_rows))
    hpz = f"-hpz{layout.hpz_ranks}" if layout.hpz_ranks else ""
    return f"zero{layout.zero_stage}{hpz}-{layout.checkpointing}-{layout.attention}-mb{rows}"


def audit(plan: Plan, measured: Measured) -> list[Deviation]:
    """Every planned figure of which something was measured, alarms first."""
    memory = float(plan.memory.total)
    found = [
        _deviation("tokens/s per device", plan.tokens_per_s_per_device, measured.tokens_per_s_per_device, "lower"),
        _deviation("memory of a device", Range(0, memory, memory), measured.peak_memory_bytes, "higher"),
        _deviation("seconds per save", Range(0, plan.save_s, plan.save_s), measured.save_s, "higher"),
        _deviation(plan.unit, plan.units, measured.units_expected, "higher"),
        _deviation("kWh", plan.energy_kwh, measured.energy_kwh_expected, "higher"),
    ]
    return sorted((item for item in found if item is not None), key=lambda item: not item.alarm)


def _deviation(what: str, planned: Range | None, measured: float | None, worse: str) -> Deviation | None:
    if planned is None or measured is None or not planned.middle:
        return None
    ratio = measured / planned.middle - 1
    bad = -ratio if worse == "lower" else ratio
    within = planned.low <= measured <= planned.high
    text = f"{what}: {measured:,.4g} measured, {planned.middle:,.4g} planned ({ratio:+.0%})"
    if planned.low != planned.high:
        text += f", {'inside' if within else 'outside'} its range {planned.low:,.4g} to {planned.high:,.4g}"
    return Deviation(what, planned.middle, measured, within, bad > ALARM, text)


T = TypeVar("T", Plan, Rehearsal)


def write_plan(run_dir: Path, plan: Plan) -> None:
    """Write `plan.json` atomically."""
    write_json(run_dir / PLAN_FILE, asdict(plan))


def read_plan(run_dir: Path) -> Plan | None:
    """The stored plan, or null without one. Raises InputError for a damaged file."""
    return _read(run_dir / PLAN_FILE, Plan)


def write_rehearsal(run_dir: Path, rehearsal: Rehearsal) -> None:
    """Write `rehearsal.json` atomically."""
    write_json(run_dir / REHEARSAL_FILE, asdict(rehearsal))


def read_rehearsal(run_dir: Path) -> Rehearsal | None:
    """The stored rehearsal, or null without one. Raises InputError for a damaged file."""
    return _read(run_dir / REHEARSAL_FILE, Rehearsal)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        raise InputError(
            f"{path} is damaged or of another version ({error.error_count()} faults). Delete it."
        ) from None
    if found.schema != SCHEMA:
        raise InputError(f"{path} has schema {found.schema}, this eurolm writes {SCHEMA}. Make it again.")
    return found


def measured_at(rehearsal: Rehearsal | None, layout: LayoutRecord, nodes: int) -> RehearsalRun | None:
    """The rehearsal's run at so many nodes and in this layout, or at the nearest smaller count; null without one."""
    if rehearsal is None or rehearsal.layout != layout_key(layout):
        return None
    runs: Sequence[RehearsalRun] = [run for run in rehearsal.runs if run.nodes <= nodes]
    return max(runs, key=lambda run: run.nodes, default=None)
