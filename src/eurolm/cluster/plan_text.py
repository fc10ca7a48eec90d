"""A plan for people, and with what follows from its figures for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from eurolm.cluster.plan_record import Check, MemoryRecord, Plan, Range, StorageNeed, layout_key
from eurolm.cluster.screen import entry, table

MARKS = {True: "ok  ", False: "FAIL", None: "?   "}


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan, most wanted first, in lines that fit the screen."""
    yield from entry("", f"{plan.run} on {plan.cluster}: {plan.model} ({plan.parameters:,})", hang=0)
    yield ""
    yield from entry("training", f"{plan.tokens:,} tokens in {plan.steps:,} steps, {plan.samples:,} rows")
    yield from entry("on", _place(plan))
    yield from entry("layout", f"{plan.layout.why}; micro-batches of {_rows(plan)}; attention {plan.layout.attention}")
    if plan.layout.overrides:
        yield from entry("", f"chosen here: {' '.join(plan.layout.overrides)}")
    yield from _memory(plan.memory)
    yield from _speed(plan)
    part = f", {_bytes(plan.checkpoint_bytes / plan.nodes)} a node" if plan.nodes > 1 and plan.partition else ""
    yield from entry("checkpoint", f"{_bytes(plan.checkpoint_bytes)} in {plan.checkpoint_files:,} files{part}")
    yield from _storage(plan)
    yield from _checks(plan.checks)
    yield from _layouts(plan)
    yield from _scaling(plan)
    if plan.notes:
        yield ""
    for note in plan.notes:
        yield from entry("note", note)


def as_json(plan: Plan) -> dict[str, Any]:
    """The record as plain values, with what a reader would have to derive: sums, what fits, what must be mended."""
    value = asdict(plan)
    value["memory"]["total"] = plan.memory.total
    for row, shown in zip(plan.layouts, value["layouts"], strict=True):
        shown["memory"]["total"] = row.memory.total
    for need, told in zip(plan.storage, value["storage"], strict=True):
        told["fits"] = need.fits
    return {**value, "failures": failures(plan)}


def failures(plan: Plan) -> list[str]:
    """What must be put right before the run is worth submitting."""
    failed = [f"{check.name}: {check.text}" for check in plan.checks if check.passed is False]
    full = [need for need in plan.storage if need.fits is False]
    return failed + [
        f"storage {need.area}: {_bytes(need.need_bytes)} and {need.need_files:,} files, the quota is "
        f"{_quota(need)}. Ask for more, keep fewer checkpoints, or name another run.workspace"
        for need in full
    ]


def _place(plan: Plan) -> str:
    ranks = _count(plan.ranks, "rank")
    return ranks if plan.partition is None else f"{_count(plan.nodes, 'node')} of {plan.partition}, {ranks}"


def _rows(plan: Plan) -> str:
    rows = [f"{rows:,}" for rows in plan.layout.micro_batch_rows]
    return f"{', '.join(rows)} row{'s' if rows != ['1'] else ''}"


def _memory(memory: MemoryRecord) -> Iterator[str]:
    inside = ("device", "logits")
    parts = {field.name: getattr(memory, field.name) for field in fields(memory) if field.name not in inside}
    told = [f"{name} {_bytes(size)}" for name, size in sorted(parts.items(), key=lambda part: -part[1]) if size]
    device = f" of {_bytes(memory.device)}" if memory.device else ""
    yield from entry("memory", f"{_bytes(memory.total)}{device} on the fullest device: {', '.join(told)}")


def _speed(plan: Plan) -> Iterator[str]:
    rate, hours = plan.tokens_per_s_per_device, plan.hours
    if rate is None or hours is None or plan.units is None or plan.step_s is None:
        yield from entry("speed", f"n/a: {plan.basis}")
        return
    mfu = f", {_percent(plan.mfu)} MFU (6N)" if plan.mfu else ""
    yield from entry("speed", f"{_range(rate)} tokens/s per device{mfu}; a step takes {_range(plan.step_s)} s")
    yield from entry("", f"{'measured' if plan.measured else 'predicted'}: {plan.basis}")
    jobs = f"; {_count(plan.jobs, 'job')} of {plan.job_hours:g} h" if plan.job_hours is not None else ""
    yield from entry("time", f"{_range(hours)} h{jobs}; {plan.save_s:,.1f} s per save, {plan.start_s:,.0f} s per start")
    yield from entry("cost", f"{_range(plan.units)} {plan.unit}")
    if plan.energy_kwh is None:
        yield from entry("energy", "n/a: the power of a node is not known")
        return
    market = f"{_range(plan.market_kg)} kg CO2e market-based" if plan.market_kg else "market-based n/a"
    location = f"{_range(plan.location_kg)} kg CO2e location-based" if plan.location_kg else "location-based n/a"
    yield from entry("energy", f"{_range(plan.energy_kwh)} kWh; {market}, {location}")


def _storage(plan: Plan) -> Iterator[str]:
    for need in plan.storage:
        billed = f"; {need.billed_tb_hours:,.0f} TB-hours billed" if need.billed_tb_hours else ""
        text = f"{need.path or need.area}: {_bytes(need.need_bytes)}, {need.need_files:,} files; quota {_quota(need)}"
        yield from entry("storage", f"{MARKS[need.fits].strip()} {text}{billed}")


def _checks(checks: tuple[Check, ...]) -> Iterator[str]:
    for check in checks:
        yield from entry("data", f"{MARKS[check.passed].strip()} {check.name}: {check.text}")


def _layouts(plan: Plan) -> Iterator[str]:
    """Memory of every layout that was compared; logits are part of the activations."""
    if len(plan.layouts) < 2:
        return
    chosen = layout_key(plan.layout)
    rows = []
    for row in plan.layouts:
        memory = row.memory
        states = memory.weights + memory.gradients + memory.masters + memory.moments + memory.secondary
        rest = memory.total - states - memory.activations
        slower = "chosen" if row.layout == chosen else "–" if row.slower is None else f"+{row.slower:.0%}"
        sizes = [f"{size / 1e9:,.1f}" for size in (states, memory.activations, memory.logits, rest, memory.total)]
        name = row.layout.replace(f"-{plan.layout.attention}", "")
        rows.append((name, *sizes, slower if row.fits else "too large"))
    head = ("layout, GB", "states", "activations", "logits", "other", "total", "step")
    yield ""
    yield from table(head, rows, right=(False, *6 * (True,)))


def _scaling(plan: Plan) -> Iterator[str]:
    if not plan.scaling:
        return
    head = ("nodes", "ranks", "tokens/s", "hours", plan.unit.split(" (")[0] + "s", "jobs", "layout")
    rows = [
        (
            f"{'*' if row.measured else ''}{row.nodes:,}", f"{row.ranks:,}", _short(row.tokens_per_s),
            _short(row.hours), _short(row.units), f"{row.jobs:,}", row.layout.replace(f"-{plan.layout.attention}", ""),
        )
        for row in plan.scaling
    ]  # fmt: skip
    yield ""
    yield from table(head, rows, right=(True, True, True, True, True, True, False))
    if any(row.measured for row in plan.scaling):
        yield "  * measured"


def _quota(need: StorageNeed) -> str:
    size = "not known" if need.quota_bytes is None else _bytes(need.quota_bytes)
    return size if need.quota_files is None else f"{size}, {need.quota_files:,} files"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _range(value: Range) -> str:
    if value.low == value.high:
        return _number(value.middle)
    return f"{_number(value.low)} to {_number(value.high)}"


def _short(value: Range) -> str:
    """For a table: both ends in the unit of the higher one."""
    factor, sign = next(((f, s) for f, s in ((1e6, "M"), (1e4, "k")) if value.high >= f), (1.0, ""))
    factor = 1e3 if sign == "k" else factor
    ends = [value.middle] if value.low == value.high else [value.low, value.high]
    return "–".join(_number(end / factor) for end in ends) + sign


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
