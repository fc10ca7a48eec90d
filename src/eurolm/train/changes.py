"""What may change in a training that has started: nothing that alters what it has done.

A started training is never overwritten (DESIGN "Artifacts"). Its horizon may grow while the learning rate is still
in the stable phase, because nothing already done would have been different; afterwards with a stated second warm-up.
A fork may change everything that lies after the checkpoint it starts from.
"""

from __future__ import annotations

from typing import Any

from eurolm.config.sources import walk


def changed_fields(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Dotted names of leaves that differ; a list that grew or shrank is named once."""
    before, after = _leaves(old), _leaves(new)
    return sorted(name for name in before.keys() | after.keys() if before.get(name, _GONE) != after.get(name, _GONE))


_GONE = object()
CONTEXT = "max_position_tokens"


def _leaves(tree: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in walk(tree) if not isinstance(value, (dict, list)) or not value}


def fixed_fields(changed: list[str]) -> list[str]:
    """Those of the changed fields that a checkpoint decides: its weights and optimizer states are of one model and one
    kind of optimizer. A longer declared context is a word in a config."""
    return [
        name
        for name in changed
        if name == "train.optimizer.name" or (name.startswith("model.") and name != f"model.{CONTEXT}")
    ]


def _longer_context(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The old model, with the new one's declared context where that is longer: longer rows need it."""
    return {**old, CONTEXT: max(old[CONTEXT], new[CONTEXT])}


def horizon_tokens(output: dict[str, Any]) -> int:
    """Sum of the phases' tokens."""
    return sum(int(phase["tokens"]) for phase in output["mixture"]["phases"])


def extends_horizon(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """True when `new` differs from `old` only in a longer last phase or in phases appended after it, and perhaps in
    further second warm-ups."""
    old_phases, new_phases = old["mixture"]["phases"], new["mixture"]["phases"]
    if len(new_phases) < len(old_phases):
        return False
    count = len(old_phases)
    grown = [*old_phases[:-1], {**old_phases[-1], "tokens": new_phases[count - 1]["tokens"]}] if count else []
    if new_phases[:count] != grown or horizon_tokens(new) <= horizon_tokens(old):
        return False
    if _rewarms(new)[: len(_rewarms(old))] != _rewarms(old):
        return False
    train = {**old["train"], "schedule": {**old["train"]["schedule"], "rewarms": _rewarms(new)}}
    model = _longer_context(old["model"], new["model"])
    return {**old, "model": model, "mixture": {**old["mixture"], "phases": new_phases}, "train": train} == new


def rewarms_at(old: dict[str, Any], new: dict[str, Any], done_tokens: float) -> bool:
    """True when `new` adds a second warm-up that begins within a step after `done_tokens`."""
    added = _rewarms(new)[len(_rewarms(old)) :]
    last = old["mixture"]["phases"][-1]
    step = last["row_tokens"] * last["batch_rows"]
    return any(0 <= rewarm["at_tokens"] - done_tokens < step for rewarm in added)


def keeps_history(old: dict[str, Any], new: dict[str, Any], samples: int) -> bool:
    """True when the first `samples` samples and the state of training are the same under both: model, order, and the
    phases so far. What comes later, and how it is trained, may differ."""
    if fixed_fields(changed_fields(old, new)):
        return False
    before, after = old["mixture"], new["mixture"]
    if {**before, "phases": []} != {**after, "phases": []}:
        return False
    left = samples
    for number, phase in enumerate(before["phases"]):
        if left <= 0:
            break
        if number >= len(after["phases"]):
            return False
        ours = after["phases"][number]
        if {**phase, "tokens": 0, "max_epochs": 0} != {**ours, "tokens": 0, "max_epochs": 0}:
            return False
        here = min(left, phase_samples(phase))
        last = left <= phase_samples(phase)
        if phase_samples(ours) < here or (not last and phase_samples(ours) != here):
            return False
        left -= here
    return True


def phase_samples(phase: dict[str, Any]) -> int:
    """Rows of a phase: its tokens, rounded up to whole steps."""
    step = phase["row_tokens"] * phase["batch_rows"]
    return -(-int(phase["tokens"]) // step) * int(phase["batch_rows"])


def _rewarms(output: dict[str, Any]) -> list[dict[str, Any]]:
    return list(output["train"]["schedule"]["rewarms"])


def stable_until_tokens(output: dict[str, Any]) -> float:
    """Tokens until which a longer horizon changes nothing already done; 0 where the shape depends on the horizon."""
    schedule = output["train"]["schedule"]
    if schedule["shape"] != "wsd":
        return 0.0
    return (1.0 - float(schedule["decay_share"])) * horizon_tokens(output)


def warmed_up_after_tokens(output: dict[str, Any]) -> float:
    """Tokens after which warm-up is over."""
    schedule = output["train"]["schedule"]
    if schedule["warmup_tokens"] is not None:
        return float(schedule["warmup_tokens"])
    return float(schedule["warmup_share"]) * horizon_tokens(output)
