"""A machine profile as text for people: every value, its source, and why one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eurolm.cluster.environment import Variable
from eurolm.cluster.facts import Facts
from eurolm.cluster.profile import ClusterProfile

NOTES = ("source", "confidence", "sources", "unknown")
CONFIDENCE = {
    "operator": "the site's documentation or maintainers",
    "paper": "a paper or model card",
    "third_party": "one team's experience: verify",
    "derived": "derived: verify",
    "recalled": "recalled: verify",
}


def profile_lines(profile: ClusterProfile) -> Iterator[str]:
    """The profile, section by section."""
    yield f"{profile.name}: {profile.title}, {profile.nodes:,} nodes"
    for name in ("devices", "cores", "billing", "network", "power", "access", "slurm", "software"):
        yield from _section(name, getattr(profile, name))
    for name, queue in profile.queues.items():
        yield from _section(f"queue {name}", queue)
    for name, area in profile.storage.items():
        yield from _section(f"storage {name}", area)
    if profile.container is not None:
        yield from _section("container", profile.container)
    if profile.environment:
        yield from ("", "environment of a job")
    for name, variable in profile.environment.items():
        yield from _variable(name, variable)
    if profile.traps:
        yield from ("", "versions known to fail here")
    for trap in profile.traps:
        yield f"  {trap.library} {trap.version}: {trap.symptom}. {trap.remedy} ({trap.source})"


def _section(title: str, facts: Facts) -> Iterator[str]:
    yield ""
    yield f"{title}  ({facts.source.rstrip()}; {CONFIDENCE[facts.confidence]})"
    for name, field in type(facts).model_fields.items():
        value = getattr(facts, name)
        if name in NOTES or (value is None and not field.is_required()):
            continue
        if value is None:
            yield f"  {name:<26} unknown: {facts.unknown[name]}"
        else:
            other = f"  ({facts.sources[name].rstrip()})" if name in facts.sources else ""
            yield f"  {name:<26} {shown(value)}{other}"


def _variable(name: str, variable: Variable) -> Iterator[str]:
    yield f"  {name}" + (f"={variable.value}" if variable.value is not None else " (not set)")
    yield f"      {variable.reason} ({variable.source})"


def shown(value: Any) -> str:
    """A value for reading: numbers grouped, large ones with a unit prefix, lists in one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        for limit, prefix in ((1e12, "T"), (1e9, "G")):
            if abs(value) >= limit:
                return f"{value / limit:,.4g} {prefix}"
        return f"{value:,.6g}"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items()) or "none"
    return str(value) or "none"
