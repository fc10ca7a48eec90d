"""Charts of training: loss, bits per byte beside the n-gram models, and the small ones below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from eurolm.report.numbers import compact, language_name
from eurolm.report.svg import COLOURS, render
from eurolm.report.training import Course, Points, smoothed

WIDTH = 10.0
MOST_POINTS = 800
"""Points of a line. A longer course is drawn as the band between the least and greatest value of equal stretches."""
PANELS_PER_ROW = 3
LABEL_ROOM = 1.36
"""Width of a panel over that of its data: the rest holds the labels."""


@dataclass(frozen=True)
class LanguageCourse:
    """Bits per byte of one language: validations along tokens, and what they are measured against."""

    language: str
    tokens: list[float]
    bits_per_byte: list[float]
    references: dict[str, float] = field(default_factory=dict)
    """Bits per byte of other models by name, drawn as horizontal lines."""
    final: float | None = None
    """Bits per byte of the finished model on the evaluation text."""


def loss_chart(went: Course) -> Markup | None:
    """Loss against tokens; null when no step was logged."""
    points = went.points("loss")
    if len(points) < 2:
        return None
    soft = smoothed([loss for _, loss in points])

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        _raw(axes, points)
        tokens = [token for token, _ in points]
        thinned = range(0, len(tokens), max(1, len(tokens) // MOST_POINTS))
        axes.plot([tokens[i] for i in thinned], [soft[i] for i in thinned], color=COLOURS["s1"])
        axes.annotate(
            f"{soft[-1]:.3f} smoothed",
            (tokens[-1], soft[-1]),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=COLOURS["s1"],
            weight="bold",
        )
        _resumes(axes, went)
        axes.set_xlim(0, tokens[-1] * 1.14)
        axes.set_ylabel("loss, nats per token")
        _token_axis(axes)

    label = f"Training loss falls to {soft[-1]:.3f} nats per token after {compact(points[-1][0])} tokens"
    return render(draw, "loss", label, (WIDTH, 3.3))


def validation_chart(courses: Sequence[LanguageCourse]) -> Markup | None:
    """A panel per language: validations, and the reference models as lines; null without any validation."""
    shown = [course for course in courses if course.tokens]
    if not shown:
        return None
    columns = min(len(shown), PANELS_PER_ROW)
    rows = -(-len(shown) // columns)
    frame = _frame(shown)

    def draw(figure: Any) -> None:
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        grid[0, 0].set_ylim(*frame)
        for number, axes in enumerate(grid.flat):
            if number >= len(shown):
                axes.set_axis_off()
                continue
            _language_panel(axes, shown[number])
            if number % columns == 0:
                axes.set_ylabel("bits per byte of held-out text")

    ends = "; ".join(f"{language_name(each.language)} {each.bits_per_byte[-1]:.3f}" for each in shown)
    label = f"Validation bits per byte over training, at the end: {ends}"
    return render(draw, "validation", label, (WIDTH, 3.6 * rows))


def _frame(courses: Sequence[LanguageCourse]) -> tuple[float, float]:
    """Range of the common axis. The first values are cut off where they would press the comparison flat."""
    lines = [value for course in courses for value in course.references.values()]
    ends = [value for course in courses for value in (course.bits_per_byte[-1], course.final) if value is not None]
    low = min([*lines, *ends, *(min(course.bits_per_byte) for course in courses)])
    high = max(max(course.bits_per_byte) for course in courses)
    if lines:
        high = min(high, max([*lines, *ends]) + 0.8 * (max([*lines, *ends]) - low) + 0.1)
    margin = 0.06 * (high - low) + 0.01
    return low - margin, high + margin


def _language_panel(axes: Any, course: LanguageCourse) -> None:
    tokens, values = course.tokens, course.bits_per_byte
    end = max(tokens[-1], 1.0)
    axes.set_title(language_name(course.language), weight="bold")
    axes.plot(tokens, values, color=COLOURS["s1"], marker="o", markersize=3.5)
    axes.set_xlim(-0.015 * end, end * LABEL_ROOM)
    labels = []
    for number, (name, value) in enumerate(sorted(course.references.items(), key=lambda item: -item[1])):
        colour = COLOURS[f"s{2 + number % 6}"]
        axes.plot([0, end], [value, value], color=colour, linewidth=1.4, linestyle=("--", ":", "-.")[number % 3])
        labels.append((value, f"{name} {value:.3f}", colour, "normal"))
    labels.append((values[-1], f"model {values[-1]:.3f}", COLOURS["s1"], "bold"))
    if course.final is not None:
        axes.plot([end], [course.final], color=COLOURS["s1"], marker="D", markersize=7, markerfacecolor="none")
    _place_labels(axes, end * 1.04, labels)
    _note_start(axes, tokens, values)
    _token_axis(axes, [tick for tick in axes.get_xticks() if 0 <= tick <= end])


def _note_start(axes: Any, tokens: list[float], values: list[float]) -> None:
    """Say where the line began when that is above the frame, beside the place where it enters."""
    top = axes.get_ylim()[1]
    entry = next((place for place, value in enumerate(values) if value <= top), 0)
    if entry == 0:
        return
    left, high, low = tokens[entry - 1], values[entry - 1], values[entry]
    place = left + (tokens[entry] - left) * (high - top) / (high - low)
    axes.annotate(
        f"{values[0]:.3f} at the start",
        (place, top),
        xytext=(9, -2),
        textcoords="offset points",
        va="top",
        color=COLOURS["muted"],
        bbox={"facecolor": COLOURS["paper"], "edgecolor": "none", "pad": 1.0},
    )


def _place_labels(axes: Any, x: float, labels: list[tuple[float, str, str, str]]) -> None:
    """Labels at the right, pushed apart where their lines are close to each other."""
    low, high = axes.get_ylim()
    apart = 0.065 * (high - low)
    ordered = sorted(labels)
    places = [value for value, *_ in ordered]
    for _ in range(20):
        for here in range(1, len(places)):
            gap = places[here] - places[here - 1]
            if gap < apart:
                places[here - 1] -= (apart - gap) / 2
                places[here] += (apart - gap) / 2
        if places and places[0] < low:
            places[0] = low
    for place, (_, text, colour, weight) in zip(places, ordered, strict=True):
        axes.text(x, place, text, color=colour, weight=weight, va="center")


def small_charts(went: Course) -> Markup | None:
    """Throughput, learning rate and gradient norm side by side; those that were logged."""
    wanted = (
        ("tokens_per_s", "tokens per second", "s3"),
        ("learning_rate", "learning rate", "s2"),
        ("grad_norm", "gradient norm", "s5"),
    )
    series = [(title, colour, went.points(name)) for name, title, colour in wanted]
    series = [each for each in series if len(each[2]) > 1]
    if not series:
        return None

    def draw(figure: Any) -> None:
        panels = figure.subplots(1, len(series), squeeze=False)[0]
        for axes, (title, colour, points) in zip(panels, series, strict=True):
            axes.set_title(title)
            thinned = points[:: max(1, len(points) // MOST_POINTS)]
            axes.plot(*zip(*thinned, strict=True), color=COLOURS[colour], linewidth=1)
            # One stalled step (a checkpoint, a first compilation) must not press the rest against the axis.
            top = sorted(value for _, value in points)[math.ceil(0.99 * (len(points) - 1))]
            axes.set_ylim(0, top * 1.15 or 1.0)
            axes.set_xlim(0, points[-1][0])
            axes.yaxis.set_major_formatter(compact if top >= 1000 else "{x:g}")
            axes.yaxis.set_major_locator(_locator(4))
            _token_axis(axes)

    return render(draw, "small", f"Over training: {', '.join(title for title, *_ in series)}", (WIDTH, 2.3))


def _raw(axes: Any, points: Points) -> None:
    colour = COLOURS["s1"]
    if len(points) <= MOST_POINTS:
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=0.6, alpha=0.4)
        return
    stretch = -(-len(points) // MOST_POINTS)
    parts = [points[first : first + stretch] for first in range(0, len(points), stretch)]
    axes.fill_between(
        [part[0][0] for part in parts],
        [min(value for _, value in part) for part in parts],
        [max(value for _, value in part) for part in parts],
        color=colour,
        alpha=0.25,
        linewidth=0,
    )


def _resumes(axes: Any, went: Course) -> None:
    for number, line in enumerate(went.resumes):
        place = went.tokens_at(line)
        if place is None:
            continue
        axes.axvline(place, color=COLOURS["s2"], linewidth=0.9, linestyle=":")
        if number == 0:
            axes.annotate(
                "resumed",
                (place, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(4, -4),
                textcoords="offset points",
                va="top",
                color=COLOURS["s2"],
            )


def _token_axis(axes: Any, ticks: list[float] | None = None) -> None:
    if ticks is not None:
        axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(compact)
    axes.set_xlabel("tokens trained on")


def _locator(most: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most, steps=[1, 2, 2.5, 5, 10])
