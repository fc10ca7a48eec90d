"""A machine profile as text for people: every value, its source, and why one is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eurolm.cluster.environment import Trap, Variable
from eurolm.cluster.facts import Facts
from eurolm.cluster.profile import ClusterProfile, Queue, Storage
from eurolm.cluster.screen import entry, table

NOTES = ("source", "confidence", "sources", "unknown")
CONFIDENCE = {
    "operator": "the site's documentation or maintainers",
    "paper": "a paper or model card",
    "third_party": "one team's experience: verify",
    "derived": "derived: verify",
    "recalled": "recalled: verify",
}
FIELD = 29
QUEUES = ("queues", "partition", "qos", "for", "hours", "nodes", "cores", "whole", "jobs/run")
AREAS = ("storage", "path", "quota", "files", "bill", "for")


def profile_lines(profile: ClusterProfile) -> Iterator[str]:
    """The profile, section by section, in lines that fit the screen."""
    yield f"{profile.name}: {profile.title}, {profile.nodes:,} node{'' if profile.nodes == 1 else 's'}"
    for name in ("devices", "cores"):
        yield from _section(name, getattr(profile, name))
    yield from _queues(profile.queues)
    for name in ("billing", "network", "power"):
        yield from _section(name, getattr(profile, name))
    yield from _areas(profile.storage)
    for name in ("access", "slurm", "software"):
        yield from _section(name, getattr(profile, name))
    if profile.container is not None:
        yield from _section("container", profile.container)
    if profile.environment:
        yield from ("", "environment of a job")
    for name, variable in profile.environment.items():
        yield from _variable(name, variable)
    if profile.traps:
        yield from ("", "versions known to fail here")
    for trap in profile.traps:
        yield from _trap(trap)


def _section(title: str, facts: Facts) -> Iterator[str]:
    yield from ("", title)
    for name, field in type(facts).model_fields.items():
        value = getattr(facts, name)
        if name in NOTES or (value is None and not field.is_required()):
            continue
        text = f"unknown: {facts.unknown[name]}" if value is None else shown(value)
        other = f"  ({facts.sources[name].strip()})" if name in facts.sources else ""
        yield from entry(name, text + other, hang=FIELD, first="  ")
    yield from entry("source", f"{facts.source.strip()} ({CONFIDENCE[facts.confidence]})", hang=FIELD, first="  ")


def _queues(queues: Mapping[str, Queue]) -> Iterator[str]:
    if not queues:
        return
    rows = [
        (
            name, queue.partition, queue.qos or "–", queue.purpose, shown(queue.max_hours),
            f"{queue.min_nodes:,}–{queue.max_nodes:,}", shown(queue.max_cores), shown(queue.whole_nodes),
            "–" if queue.max_jobs is None else f"{queue.max_jobs}/{shown(queue.max_running_jobs)}",
        )
        for name, queue in queues.items()
    ]  # fmt: skip
    told = [n for n in range(len(QUEUES)) if any(row[n] != "–" for row in rows)]
    numbers = [QUEUES[n] in ("hours", "nodes", "cores", "jobs/run") for n in told]
    yield ""
    yield from table([QUEUES[n] for n in told], [[row[n] for n in told] for row in rows], right=numbers, indent="")
    shape = ("cores_per_node", "memory_gb_per_node")
    for name, queue in queues.items():
        sizes = [f"{field} {getattr(queue, field)}" for field in shape if getattr(queue, field) is not None]
        if sizes:
            yield from _under(f"{name}: {', '.join(sizes)}")
    yield from _sources(queues)


def _areas(areas: Mapping[str, Storage]) -> Iterator[str]:
    if not areas:
        return
    rows = [
        (
            name, area.path or "–", "?" if area.quota_bytes is None else f"{shown(area.quota_bytes)}B",
            "?" if area.quota_files is None else f"{area.quota_files:,}",
            "?" if area.billing_factor is None else f"× {area.billing_factor:g}", area.use,
        )
        for name, area in areas.items()
    ]  # fmt: skip
    yield ""
    yield from table(AREAS, rows, right=(False, False, True, True, True, False), indent="")
    for name, area in areas.items():
        if area.note:
            yield from _under(f"{name}: {area.note}")
    yield from _sources(areas)


def _sources(groups: Mapping[str, Facts]) -> Iterator[str]:
    """Sources of the lines of a table, each once with the lines and columns it stands for; what is missing and why."""
    told: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name, facts in groups.items():
        columns: dict[str, list[str]] = {f"{facts.source.strip()} ({CONFIDENCE[facts.confidence]})": []}
        for field, source in facts.sources.items():
            columns.setdefault(source.strip(), []).append(field)
        for field, reason in facts.unknown.items():
            columns.setdefault(f"unknown, {reason}", []).append(field)
        for text, fields in columns.items():
            told.setdefault((text, tuple(fields)), []).append(name)
    for (text, named), names in told.items():
        what = f"{', '.join(named)} of " if named else ""
        yield from _under(f"{what}{', '.join(names)}: {text}")


def _under(text: str) -> Iterator[str]:
    """A line below a table."""
    yield from entry("", text, hang=4, first="  ")


def _variable(name: str, variable: Variable) -> Iterator[str]:
    yield f"  {name}" + (f"={variable.value}" if variable.value is not None else " (not set)")
    yield from entry("", f"{variable.reason} ({variable.source})", hang=6)


def _trap(trap: Trap) -> Iterator[str]:
    yield f"  {trap.library} {trap.version}"
    yield from entry("", f"{trap.symptom}. Remedy: {trap.remedy} ({trap.source})", hang=6)


def shown(value: Any) -> str:
    """A value for reading: numbers grouped, large ones with a unit prefix, lists in one line."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        for limit, prefix in ((1e12, "T"), (1e9, "G")):
            if abs(value) >= limit:
                return f"{value / limit:,.4g} {prefix}"
        return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items()) or "none"
    return str(value) or "none"
