"""A comparison of models as a table for the terminal and as a forest plot: which differences are real."""

from __future__ import annotations

import re
from typing import Any

from rich.table import Table

from eurolm.evaluate.compare import Comparison, Row
from eurolm.evaluate.paired import LEVEL, SCOPE
from eurolm.report.numbers import NOT_MEASURED
from eurolm.report.scores import METRICS
from eurolm.report.svg import COLOURS, render

PALETTE = {
    "ink": "#1b2126", "muted": "#59646e", "grid": "#d5dbe0", "paper": "#ffffff", "s1": "#0b62a8", "s2": "#c8500a",
    "s3": "#0a8464", "s4": "#a87600", "s5": "#a8498a", "s6": "#86b9e0", "s7": "#6b5bb5", "s8": "#8c949b",
}  # fmt: skip
"""The report's light colours: a file of its own has no page that would name them."""


def verdict(row: Row) -> str:
    """`better` or `worse` where the difference is real; `open` where it is not told from chance; empty without test."""
    if not row.real:
        return "" if row.real is None else "open"
    return "better" if (row.difference > 0) == (row.better == "higher") else "worse"


def notes(found: Comparison) -> list[str]:
    """What stands below table and plot."""
    said = [
        f"Differences are other minus {found.names[0]}, on shared items, with 95 % intervals ({SCOPE}). "
        f"Better and worse are real: p below {LEVEL} after Holm's correction over all tests; open is not told apart.",
        *found.warnings,
    ]
    if any(row.subject.startswith("mean ") for row in found.rows):
        said.append("Means over tasks take tasks for independent and are not tested.")
    return said


def table(found: Comparison) -> Table:
    """A row per task and model compared with the first."""
    shown = Table(box=None, padding=(0, 0, 0, 2), header_style="dim", pad_edge=False)
    several = len(found.names) > 2
    shown.add_column("", no_wrap=True)
    if several:
        shown.add_column("", no_wrap=True)
    shown.add_column("metric", no_wrap=True)
    for column in (
        "items",
        found.names[0],
        "other" if several else found.names[-1],
        "change",
        "95 % interval",
        "p",
        "",
    ):
        shown.add_column(column, justify="right", no_wrap=True)
    for row in found.rows:
        names = (row.subject, row.other) if several else (row.subject,)
        shown.add_row(*names, *_cells(row), style="bold" if row.real else "")
    return shown


def _cells(row: Row) -> tuple[str, ...]:
    scale, digits = (100.0, 1) if row.better == "higher" else (1.0, 3)
    interval = NOT_MEASURED
    if row.low is not None and row.high is not None:
        interval = f"{scale * row.low:+.{digits}f} … {scale * row.high:+.{digits}f}"
    return (
        METRICS.get(row.metric, row.metric.replace("_", " ")),
        f"{row.items:,}",
        f"{scale * row.first_value:.{digits}f}",
        f"{scale * row.other_value:.{digits}f}",
        f"{scale * row.difference:+.{digits}f}",
        interval,
        NOT_MEASURED if row.corrected is None else f"{row.corrected:.3g}",
        verdict(row),
    )


def forest(found: Comparison) -> str:
    """The SVG file's text: a row per task and model, the difference with its interval; filled where it is real.

    Rows between 0 and 1 share an axis in points; bits per byte have one of their own.
    """
    parts = [
        ([row for row in found.rows if row.better == "higher"], "points, other minus {}", 100.0),
        (
            [row for row in found.rows if row.better == "lower"],
            "bits per byte, other minus {} (below 0 is better)",
            1.0,
        ),
    ]
    panels = [(rows, label.format(found.names[0]), scale) for rows, label, scale in parts if rows]
    heights = [len(rows) for rows, _, _ in panels]
    others = found.names[1:]

    def draw(figure: Any) -> None:
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[height + 1.2 for height in heights])
        for axes, (rows, label, scale) in zip(grid[:, 0], panels, strict=True):
            _panel(axes, rows, label, scale, others)
        for number, name in enumerate(others):
            grid[0, 0].plot([], [], "D-", color=COLOURS[f"s{1 + number % 8}"], label=name)
        grid[0, 0].plot([], [], "D", color=COLOURS["muted"], markerfacecolor=COLOURS["paper"], label="not told apart")
        figure.legend(loc="outside upper left", ncols=4, handlelength=1.0)

    said = "; ".join(f"{row.subject} {row.other}: {verdict(row)}" for row in found.rows)
    text = str(render(draw, "forest", said, (9.0, 1.2 + 0.32 * sum(heights) + 0.7 * len(panels))))
    text = re.sub(r"var\(--(\w+)\)", lambda role: PALETTE[role[1]], text)
    font = 'font-family="Helvetica, Arial, sans-serif" xmlns="http://www.w3.org/2000/svg"'
    return text.replace("<svg ", f"<svg {font} ", 1) + "\n"


def _panel(axes: Any, rows: list[Row], label: str, scale: float, others: list[str]) -> None:
    for place, row in enumerate(rows):
        colour = COLOURS[f"s{1 + others.index(row.other) % 8}"]
        if row.low is not None and row.high is not None:
            axes.plot([scale * row.low, scale * row.high], [place, place], color=colour, linewidth=1.8)
        face = colour if row.real else COLOURS["paper"]
        axes.plot([scale * row.difference], [place], "D", color=colour, markerfacecolor=face, markersize=6)
    axes.axvline(0, color=COLOURS["muted"], linewidth=1)
    several = len(others) > 1
    names = [f"{row.subject} · {row.other}" if several else row.subject for row in rows]
    metrics = [METRICS.get(row.metric, row.metric) for row in rows]
    axes.set_yticks(range(len(rows)), [f"{name}, {metric}" for name, metric in zip(names, metrics, strict=True)])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params("y", labelcolor=COLOURS["ink"])
    axes.set_xlabel(label, loc="left")
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
