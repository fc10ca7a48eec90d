"""What a person sees while eurolm works: bars on a terminal, a line every 30 s in a log file, JSON on request.

Everything goes to stderr except results that a verb prints on purpose; `--json` turns both into JSON lines.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LOG_LINE_EVERY_S = 30.0


class Task(Protocol):
    """One piece of long work being counted."""

    def advance(self, amount: float = 1.0, note: str = "") -> None: ...


class Reporter:
    """Tells a person what happens. `mode` is `bars`, `lines`, `json` or `quiet` (warnings only)."""

    def __init__(self, mode: str | None = None) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.mode = mode or ("bars" if self.console.is_terminal else "lines")

    def say(self, message: str, **facts: Any) -> None:
        """One line of information; `facts` are added in JSON mode."""
        if self.mode == "json":
            self._json("info", message, facts)
        elif self.mode != "quiet":
            self.console.print(message, markup=False, soft_wrap=True)

    def warn(self, message: str, **facts: Any) -> None:
        """A line that even `--quiet` shows: something was skipped, dropped or replaced."""
        if self.mode == "json":
            self._json("warning", message, facts)
        else:
            self.console.print(f"warning: {message}", markup=False, style="yellow", soft_wrap=True)

    @contextmanager
    def task(self, label: str, total: float, unit: str) -> Iterator[Task]:
        """Count work of a known size: `with reporter.task("encode", shards, "shards") as task: task.advance()`."""
        if self.mode == "bars":
            with _bars(self.console) as progress:
                yield _BarTask(progress, label, total, unit)
        else:
            task = _LineTask(self, label, total, unit)
            yield task
            task.finish()

    def _json(self, level: str, message: str, facts: dict[str, Any]) -> None:
        print(json.dumps({"level": level, "message": message, **facts}, ensure_ascii=False), file=sys.stderr)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("  {task.description:<12}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}  {task.fields[rate]:>12}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
    )


class _BarTask:
    def __init__(self, progress: Progress, label: str, total: float, unit: str) -> None:
        self.progress, self.unit, self.done, self.started = progress, unit, 0.0, time.monotonic()
        self.id = progress.add_task(label, total=total, unit=unit, rate="", note="")

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.done += amount
        rate = self.done / max(time.monotonic() - self.started, 1e-9)
        self.progress.update(self.id, advance=amount, rate=f"{rate:,.1f}/s", note=note)


class _LineTask:
    """A line when half a minute has passed since the last one, and one at the end if any was printed."""

    def __init__(self, reporter: Reporter, label: str, total: float, unit: str) -> None:
        self.reporter, self.label, self.total, self.unit = reporter, label, total, unit
        self.done, self.started, self.note = 0.0, time.monotonic(), ""
        self.last = self.started

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.done += amount
        self.note = note or self.note
        now = time.monotonic()
        if now - self.last >= LOG_LINE_EVERY_S:
            self.last = now
            self._line(now)

    def finish(self) -> None:
        if self.last > self.started:
            self._line(time.monotonic())

    def _line(self, now: float) -> None:
        rate = self.done / max(now - self.started, 1e-9)
        left = (self.total - self.done) / rate if rate > 0 else float("inf")
        self.reporter.say(
            f"  {self.label}: {self.done:,.0f} of {self.total:,.0f} {self.unit}, {rate:,.1f}/s, "
            f"about {left:,.0f} s left {self.note}".rstrip(),
            done=self.done,
            total=self.total,
        )
