"""What may change in a training that has started: nothing that alters numbers, except a longer horizon.

A started training is never overwritten (DESIGN "Artifacts"). Its horizon may grow while the learning rate is still
in the stable phase, because nothing already done would have been different.
"""

from __future__ import annotations

from typing import Any

from eurolm.config.sources import walk


def changed_fields(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Dotted names of leaves that differ; a list that grew or shrank is named once."""
    before, after = _leaves(old), _leaves(new)
    return sorted(name for name in before.keys() | after.keys() if before.get(name, _GONE) != after.get(name, _GONE))


_GONE = object()


def _leaves(tree: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in walk(tree) if not isinstance(value, (dict, list)) or not value}


def horizon_tokens(output: dict[str, Any]) -> int:
    """Sum of the phases' tokens."""
    return sum(int(phase["tokens"]) for phase in output["mixture"]["phases"])


def extends_horizon(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """True when `new` differs from `old` only in a longer last phase or in phases appended after it."""
    old_phases, new_phases = old["mixture"]["phases"], new["mixture"]["phases"]
    if len(new_phases) < len(old_phases):
        return False
    count = len(old_phases)
    grown = [*old_phases[:-1], {**old_phases[-1], "tokens": new_phases[count - 1]["tokens"]}] if count else []
    if new_phases[:count] != grown or horizon_tokens(new) <= horizon_tokens(old):
        return False
    return {**old, "mixture": {**old["mixture"], "phases": new_phases}} == new


def stable_until_tokens(output: dict[str, Any]) -> float:
    """Tokens until which a longer horizon changes nothing already done; 0 where the shape depends on the horizon."""
    schedule = output["train"]["schedule"]
    if schedule["shape"] != "wsd":
        return 0.0
    return (1.0 - float(schedule["decay_share"])) * horizon_tokens(output)


def warmed_up_after_tokens(output: dict[str, Any]) -> float:
    """Tokens after which warm-up is over."""
    return float(output["train"]["schedule"]["warmup_share"]) * horizon_tokens(output)
