"""The lines a training leaves: `metrics.jsonl` and `samples.jsonl`, appended by rank 0, cut back on resume. No torch.

One JSON object a line with at least `event` and `step`. Cutting back goes by the step of each line, not by its place:
the line of a checkpoint is written when its copy is complete, some steps after it was taken.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import append_line, fsync_path, write_bytes

METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"


def write_line(run_dir: Path, name: str, event: str, step: int, **values: Any) -> None:
    """Append one line. Values must be finite: absent is null."""
    append_line(run_dir / name, {"event": event, "step": step, **values})


@dataclass
class RunLog:
    """Rank 0's pen for both files. A line that the disk has no room for waits in memory and is written before the next
    one: a training does not end for the want of a line."""

    run_dir: Path
    waiting: deque[tuple[str, dict[str, Any]]] = field(default_factory=deque)

    def write(self, name: str, event: str, step: int, **values: Any) -> None:
        """Append one line, now or as soon as there is room. Values must be finite: absent is null."""
        self.waiting.append((name, {"event": event, "step": step, **values}))
        try:
            self.catch_up()
        except OSError:
            return

    def catch_up(self) -> None:
        """Append what waits. Raises OSError where there still is no room."""
        while self.waiting:
            name, line = self.waiting[0]
            append_line(self.run_dir / name, line)
            self.waiting.popleft()

    def flush(self) -> None:
        """Bring both files to the disk, so that a checkpoint never outlives the lines before it. Raises OSError."""
        self.catch_up()
        for name in (METRICS, SAMPLES):
            if (self.run_dir / name).exists():
                fsync_path(self.run_dir / name)


def read_lines(path: Path, event: str | None = None) -> Iterator[dict[str, Any]]:
    """Complete lines of a file, of one event or all; a torn last line is left out."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        for line in stream:
            value = _parsed(line)
            if value is not None and event in (None, value["event"]):
                yield value


def cut_back(run_dir: Path, step: int | None) -> None:
    """Drop what an earlier attempt wrote after `step`; None drops everything."""
    for name in (METRICS, SAMPLES):
        path = run_dir / name
        if not path.exists():
            continue
        if step is None:
            path.unlink()
            continue
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if (value := _parsed(line)) is not None and value["step"] <= step]
        if len(kept) < len(lines):
            write_bytes(path, b"".join(kept))


def _parsed(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "event" in value and "step" in value else None
