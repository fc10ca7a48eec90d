"""The comparison at a glance: tokens per word of each language, and what the same content costs, as one SVG file.

A row per language, a dot per tokenizer with its 95 % interval; to the left is cheaper in both panels. Dots of one row
stand below each other, so that intervals never cover each other. Text stays text, the same scores give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import write_text
from eurolm.errors import ConfigError
from eurolm.tokenizer.scoring.intervals import Figure
from eurolm.tokenizer.scoring.score import Scores

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31")
"""Told apart by colour-blind readers too (Okabe & Ito 2008); markers change as well."""
MARKERS = "osD^vPX*"
GREY, LIGHT = "#5f6368", "#e3e5e8"
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tokenizer-scores",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 10.0,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": LIGHT,
    "axes.labelcolor": GREY,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 11.0,
    "axes.axisbelow": True,
    "xtick.color": GREY,
    "ytick.major.size": 0.0,
}
WIDTH = 10.0
ROW_INCHES, DOT_INCHES = 0.35, 0.17


def write_plot(scores: Scores, path: Path) -> None:
    """Write the SVG to `path`. Raises ConfigError for another ending."""
    if path.suffix != ".svg":
        raise ConfigError(f"--plot {path}: the plot is an SVG file; name it {path.with_suffix('.svg').name}.")
    write_text(path, draw(scores))


def draw(scores: Scores) -> str:
    """The SVG file's text."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    names = [one.name for one in scores.tokenizers]
    panels = _panels(scores, names)
    rows = max((len(rows) for _, _, rows, _ in panels), default=1)
    height = 1.5 + rows * (ROW_INCHES + DOT_INCHES * len(names)) + 0.22 * -(-len(names) // 4)
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained", facecolor="white")
        FigureCanvasSVG(canvas)
        grid = canvas.subplots(1, max(len(panels), 1), squeeze=False)[0]
        for axes, (title, label, found, origin) in zip(grid, panels, strict=False):
            _panel(axes, title, label, found, origin)
        _legend(canvas, names)
        stream = io.StringIO()
        canvas.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return stream.getvalue()


def _panels(scores: Scores, names: Sequence[str]) -> list[tuple[str, str, dict[str, list[Figure]], float]]:
    """(title, axis label, language → figure per tokenizer, where the axis starts)."""
    found = []
    if scores.figures:
        cost = {code: [by_name[name]["tokens_per_word"] for name in names] for code, by_name in scores.figures.items()}
        found.append(("Tokens per word", "tokens / word; fewer is cheaper", _ranked(cost), 1.0))
    if scores.parity and scores.parallel:
        ratios = {
            code: [scores.parity[name].languages[code].ratio for name in names] for code in scores.parallel.languages
        }
        label = "tokens / tokens of the cheapest language; 1 is equal"
        found.append(("Same content, tokens against the cheapest", label, _ranked(ratios), 1.0))
    return found


def _ranked(rows: dict[str, list[Figure]]) -> dict[str, list[Figure]]:
    """Cheapest language first, by the mean over tokenizers."""
    return dict(sorted(rows.items(), key=lambda item: (sum(one.value or 0.0 for one in item[1]), item[0])))


def _panel(axes: Any, title: str, label: str, rows: dict[str, list[Figure]], origin: float) -> None:
    axes.set_title(title)
    axes.set_xlabel(label)
    axes.axvline(origin, color=GREY, linewidth=0.8)
    axes.grid(axis="x", color=LIGHT, linewidth=0.7)
    for row, (_, figures) in enumerate(rows.items()):
        if row % 2 == 0:
            axes.axhspan(row - 0.5, row + 0.5, color="#f6f7f9", linewidth=0)
        for number, one in enumerate(figures):
            if one.value is not None:
                _dot(axes, row + _shift(number, len(figures)), number, one)
    axes.set_yticks(range(len(rows)), list(rows), weight="bold", size=11)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    highest = max((one.high or one.value or origin for figures in rows.values() for one in figures), default=origin)
    room = max(highest - origin, 0.05)
    axes.set_xlim(origin - 0.03 * room, highest + 0.16 * room)


def _shift(number: int, count: int) -> float:
    return 0.8 * ((number + 0.5) / count - 0.5)


def _dot(axes: Any, place: float, number: int, one: Figure) -> None:
    colour = COLOURS[number % len(COLOURS)]
    if one.low is not None and one.high is not None:
        axes.plot([one.low, one.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot([one.value], [place], MARKERS[number % len(MARKERS)], color=colour, markersize=5.5)
    end = one.high if one.high is not None else one.value
    star = "*" if one.beyond else ""
    axes.annotate(f"{one.value:.2f}{star}", (end, place), xytext=(6, 0), textcoords="offset points", va="center",
                  color=colour, size=8.5)  # fmt: skip


def _legend(canvas: Any, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)], label=name)
        for number, name in enumerate(names)
    ]
    star = f"; * differs from {names[0]} beyond the interval" if len(names) > 1 else ""
    canvas.legend(handles=handles, loc="outside upper left", ncols=min(4, len(names)), frameon=False)
    canvas.supxlabel(f"lines: 95 % intervals over groups of documents{star}", size=8.5, color=GREY, x=0.01, ha="left")
