"""A plan for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from eurolm.cluster.plan_record import Check, MemoryRecord, Plan, Range, StorageNeed

MARKS = {True: "ok  ", False: "FAIL", None: "?   "}


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan, most wanted first."""
    place = f"{plan.nodes:,} nodes, {plan.ranks:,} ranks" + (f" on {plan.partition}" if plan.partition else "")
    yield f"{plan.run} on {plan.cluster}: {plan.model} ({plan.parameters:,}); {place}"
    yield f"tokens      {plan.tokens:,} in {plan.steps:,} steps, {plan.samples:,} rows"
    yield f"layout      {plan.layout.why}"
    yield f"            micro-batches of {_rows(plan)} rows; attention {plan.layout.attention}" + (
        f"; chosen here: {' '.join(plan.layout.overrides)}" if plan.layout.overrides else ""
    )
    yield from _memory(plan.memory)
    yield from _speed(plan)
    yield from _storage(plan)
    yield from _checks(plan.checks)
    yield from _scaling(plan)
    for note in plan.notes:
        yield f"note        {note}"


def failures(plan: Plan) -> list[str]:
    """What must be put right before the run is worth submitting."""
    failed = [f"{check.name}: {check.text}" for check in plan.checks if check.passed is False]
    full = [need for need in plan.storage if need.fits is False]
    return failed + [
        f"storage {need.area}: {_bytes(need.need_bytes)} and {need.need_files:,} files, the quota is "
        f"{_quota(need)}. Ask for more, keep fewer checkpoints, or name another run.workspace"
        for need in full
    ]


def _rows(plan: Plan) -> str:
    return ", ".join(map(str, plan.layout.micro_batch_rows))


def _memory(memory: MemoryRecord) -> Iterator[str]:
    parts = [
        f"{field.name} {_bytes(getattr(memory, field.name))}"
        for field in fields(memory)
        if field.name != "device" and getattr(memory, field.name)
    ]
    device = f" of {_bytes(memory.device)}" if memory.device else ""
    yield f"memory      {_bytes(memory.total)}{device} on the fullest device: {', '.join(parts)}"


def _speed(plan: Plan) -> Iterator[str]:
    rate, hours = plan.tokens_per_s_per_device, plan.hours
    if rate is None or hours is None or plan.units is None or plan.step_s is None:
        yield f"speed       n/a: {plan.basis}"
        return
    mfu = f", {_percent(plan.mfu)} MFU (6N)" if plan.mfu else ""
    yield f"speed       {_range(rate)} tokens/s per device{mfu}; step {_range(plan.step_s)} s"
    yield f"            {'measured' if plan.measured else 'predicted'}: {plan.basis}"
    jobs = f"; {plan.jobs} job(s) of {plan.job_hours:g} h" if plan.job_hours is not None else ""
    yield f"time        {_range(hours)} h{jobs}; {plan.save_s:,.1f} s per save, {plan.start_s:,.0f} s per start"
    yield f"cost        {_range(plan.units)} {plan.unit}"
    if plan.energy_kwh is None:
        yield "energy      n/a: the power of a node is not known"
        return
    market = f"{_range(plan.market_kg)} kg CO2e market-based" if plan.market_kg else "market-based n/a"
    location = f"{_range(plan.location_kg)} kg CO2e location-based" if plan.location_kg else "location-based n/a"
    yield f"energy      {_range(plan.energy_kwh)} kWh; {market}, {location}"


def _storage(plan: Plan) -> Iterator[str]:
    yield f"checkpoint  {_bytes(plan.checkpoint_bytes)} in {plan.checkpoint_files:,} files"
    for need in plan.storage:
        billed = f"; {need.billed_tb_hours:,.0f} TB-hours billed" if need.billed_tb_hours else ""
        path = f" {need.path}" if need.path else ""
        yield (
            f"storage     {MARKS[need.fits]} {need.area}{path}: {_bytes(need.need_bytes)}, {need.need_files:,} files; "
            f"quota {_quota(need)}{billed}"
        )


def _checks(checks: tuple[Check, ...]) -> Iterator[str]:
    for check in checks:
        yield f"data        {MARKS[check.passed]} {check.name}: {check.text}"


def _scaling(plan: Plan) -> Iterator[str]:
    if not plan.scaling:
        return
    yield f"{'nodes':>7} {'ranks':>7} {'tokens/s':>24} {'hours':>24} {plan.unit.split(' (')[0]:>24} {'jobs':>5}  layout"
    for row in plan.scaling:
        mark = " *" if row.measured else ""
        yield (
            f"{row.nodes:>7,} {row.ranks:>7,} {_range(row.tokens_per_s):>24} {_range(row.hours):>24} "
            f"{_range(row.units):>24} {row.jobs:>5,}  {row.layout}{mark}"
        )


def _quota(need: StorageNeed) -> str:
    size = "not known" if need.quota_bytes is None else _bytes(need.quota_bytes)
    return size if need.quota_files is None else f"{size}, {need.quota_files:,} files"


def _range(value: Range) -> str:
    if value.low == value.high:
        return _number(value.middle)
    return f"{_number(value.low)} to {_number(value.high)}"


def _percent(value: Range) -> str:
    if value.low == value.high:
        return f"{value.middle:.1%}"
    return f"{value.low:.0%} to {value.high:.0%}"


def _number(value: float) -> str:
    """Three significant digits, grouped."""
    return f"{float(f'{value:.3g}'):,.10g}"


def _bytes(value: float) -> str:
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if value >= limit:
            return f"{value / limit:,.3g} {unit}"
    return f"{value:,.0f} bytes"
