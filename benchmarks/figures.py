"""What a benchmark says: figures with unit, the peer's figure from the same run, and the command that repeats it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict


class Figure(TypedDict, total=False):
    """`ratio` is ours over the peer's, so that above 1 is better for rates; a figure without peer has none."""

    value: float | None
    unit: str
    peer: str | None
    peer_value: float | None
    ratio: float | None
    command: str
    note: str


@dataclass(frozen=True)
class Spent:
    """What a process and all its children used. `peak_bytes` is the largest resident set of any one process."""

    cpu_s: float
    peak_bytes: int
    output: str


def against(
    value: float, unit: str, command: str, peer: str | None = None, peer_value: float | None = None, note: str = ""
) -> Figure:
    """A figure, with its ratio where there is a peer."""
    ratio = value / peer_value if peer_value else None
    return Figure(value=value, unit=unit, peer=peer, peer_value=peer_value, ratio=ratio, command=command, note=note)


def spend(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Spent:
    """Run `command` to its end. Raises RuntimeError with the end of its output when it fails."""
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{output[-3000:]}")
    return Spent(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output)


def table(figures: Mapping[str, Figure]) -> str:
    """Aligned columns for a terminal."""
    rows = [("figure", "value", "unit", "peer", "peer value", "ratio")]
    for name, figure in figures.items():
        rows.append(
            (
                name, _number(figure.get("value")), figure.get("unit", ""), figure.get("peer") or "",
                _number(figure.get("peer_value")), _number(figure.get("ratio")),
            )
        )  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    notes = [f"{name}: {figure['note']}" for name, figure in figures.items() if figure.get("note")]
    return "\n".join([*lines, *notes])


def as_json(figures: Mapping[str, Figure]) -> dict[str, Any]:
    """The figures as plain values."""
    return {name: dict(figure) for name, figure in figures.items()}


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
