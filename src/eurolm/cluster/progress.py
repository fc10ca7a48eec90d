"""How far a run is, read from what it leaves behind: its ledger and the last lines of its metrics."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.artifacts.ledger import events

TAIL_BYTES = 65_536
RECENT_STEPS = 50
STAGES = ("corpus", "tokenizer", "tokens", "train", "evaluate", "report")


@dataclass(frozen=True)
class Progress:
    """Where training is."""

    step: int
    total_steps: int
    tokens_per_s: float | None
    """Median of the last steps; null before the first."""
    step_s: float | None
    loss: float | None
    save_s: float | None
    """Median of the time that the last saves blocked the training; null before the first."""
    peak_memory_bytes: int | None
    """On the device of rank 0; null where torch counts none."""

    @property
    def share(self) -> float:
        """Share of the steps that is done."""
        return self.step / self.total_steps if self.total_steps else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Training time left at the present speed, without queueing; null before the first step."""
        return None if self.step_s is None else (self.total_steps - self.step) * self.step_s


def training_progress(run_dir: Path, total_steps: int) -> Progress | None:
    """Progress of the training; None before its first step."""
    lines = _last_lines(run_dir / "metrics.jsonl")
    steps = [line for line in lines if line.get("event") == "step"]
    saves = [line["blocked_s"] for line in lines if line.get("event") == "checkpoint"]
    if not steps:
        return None
    recent = steps[-RECENT_STEPS:]
    speeds = [line["tokens_per_s"] for line in recent if line.get("tokens_per_s")]
    times = [line["step_s"] for line in recent if line.get("step_s")]
    return Progress(
        step=int(recent[-1]["step"]),
        total_steps=total_steps,
        tokens_per_s=statistics.median(speeds) if speeds else None,
        step_s=statistics.median(times) if times else None,
        loss=recent[-1].get("loss"),
        save_s=statistics.median(saves) if saves else None,
        peak_memory_bytes=recent[-1].get("peak_memory_bytes"),
    )


def finished_stages(run_dir: Path) -> dict[str, float | None]:
    """Stages that were done by a job of this run → seconds they took; null where it found them finished."""
    done: dict[str, float | None] = {}
    for event in events(run_dir):
        if event["event"] == "stage" and event["stage"] in STAGES:
            done[event["stage"]] = event["seconds"]
        elif event["event"] == "artifact" and event["stage"] in STAGES:
            done.setdefault(event["stage"])
        elif event["event"] in ("trained", "evaluated", "reported"):
            done.setdefault({"trained": "train", "evaluated": "evaluate", "reported": "report"}[event["event"]])
    return {stage: done[stage] for stage in STAGES if stage in done}


def _last_lines(path: Path) -> list[dict[str, Any]]:
    """The complete JSON lines in the last part of a file that may be gigabytes long."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            start = max(0, stream.tell() - TAIL_BYTES)
            stream.seek(start)
            lines = stream.read().split(b"\n")
    except FileNotFoundError:
        return []
    values = []
    for line in lines[1 if start else 0 : -1]:
        try:
            values.append(json.loads(line))
        except ValueError:
            continue
    return [value for value in values if isinstance(value, dict)]
