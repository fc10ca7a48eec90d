"""Scores of the checkpoints kept for good, along the tokens trained on: one panel per task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from markupsafe import Markup

from eurolm.config.tokens import MixtureConfig
from eurolm.evaluate.results import Results, Score
from eurolm.report.charts import WIDTH
from eurolm.report.numbers import compact
from eurolm.report.scores import METRICS, headline_of, parse
from eurolm.report.svg import COLOURS, render

PANELS_PER_ROW = 3
MADE_FROM, RESULTS = "checkpoint.json", "results.json"


@dataclass(frozen=True)
class Checkpoint:
    """The scores of one checkpoint."""

    tokens: float
    results: Results


def read_checkpoints(run_dir: Path, mixture: MixtureConfig) -> list[Checkpoint]:
    """Scored checkpoints in the order of training; what cannot be read is not there."""
    found = []
    for place in sorted((run_dir / "evaluation").glob("step-*")):
        try:
            results, _ = parse(orjson.loads((place / RESULTS).read_bytes()))
            samples = int(orjson.loads((place / MADE_FROM).read_bytes())["samples"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if results is not None:
            found.append(Checkpoint(mixture.tokens_of(samples), results))
    return found


def curves_chart(checkpoints: Sequence[Checkpoint]) -> Markup | None:
    """A panel per task with the 95 % interval as a band and the best baseline as a line; null below two checkpoints."""
    if len(checkpoints) < 2:
        return None
    names = list(checkpoints[-1].results.tasks)
    rows = -(-len(names) // PANELS_PER_ROW)
    columns = min(len(names), PANELS_PER_ROW)

    def draw(figure: Any) -> None:
        grid = figure.subplots(rows, columns, squeeze=False)
        for number, axes in enumerate(grid.flat):
            if number < len(names):
                _panel(axes, names[number], checkpoints)
            else:
                axes.set_axis_off()

    ends = "; ".join(f"{name} {_ends(name, checkpoints)}" for name in names)
    return render(draw, "curves", f"Scores of checkpoints, first and last: {ends}", (WIDTH, 2.4 * rows))


def _scores(name: str, checkpoints: Sequence[Checkpoint]) -> list[tuple[float, Score]]:
    found = [(each.tokens, each.results.tasks.get(name)) for each in checkpoints]
    return [(tokens, headline_of(task)) for tokens, task in found if task is not None]


def _panel(axes: Any, name: str, checkpoints: Sequence[Checkpoint]) -> None:
    points = [(tokens, score) for tokens, score in _scores(name, checkpoints) if score.figure.value is not None]
    metric = checkpoints[-1].results.tasks[name].headline
    axes.set_title(f"{name}: {METRICS.get(metric, metric)}")
    axes.xaxis.set_major_formatter(compact)
    if not points:
        return
    scale = 100.0 if points[0][1].better == "higher" else 1.0
    axes.plot([tokens for tokens, _ in points], [scale * (score.figure.value or 0.0) for _, score in points],
              color=COLOURS["s1"], marker="o", markersize=3.5)  # fmt: skip
    banded = [(tokens, score.figure) for tokens, score in points if score.figure.low is not None]
    axes.fill_between(
        [tokens for tokens, _ in banded],
        [scale * (figure.low or 0.0) for _, figure in banded],
        [scale * (figure.high or 0.0) for _, figure in banded],
        color=COLOURS["s1"], alpha=0.2, linewidth=0,
    )  # fmt: skip
    last = points[-1][1]
    if last.best_baseline is not None:
        axes.axhline(scale * last.baselines[last.best_baseline], color=COLOURS["s2"], linestyle="--", linewidth=1.2)


def _ends(name: str, checkpoints: Sequence[Checkpoint]) -> str:
    values = [score.figure.value for _, score in _scores(name, checkpoints) if score.figure.value is not None]
    return f"{values[0]:.3f} to {values[-1]:.3f}" if values else "not measured"
