"""Scores as rows and charts: bits per byte beside the n-gram models, minimal pairs beside their baselines."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from eurolm.evaluate.results import LanguageScore, PairScore, Results
from eurolm.report.charts import WIDTH, LanguageCourse
from eurolm.report.numbers import percent
from eurolm.report.scores import BASELINES, baselines, judgement, ngrams, verdict
from eurolm.report.svg import COLOURS, render
from eurolm.report.training import Course

_MARKS = {"uniform": ("|", "muted"), "shortest": ("v", "s2"), "fewest_tokens": ("^", "s3"), "untrained": ("o", "s5")}


def language_courses(went: Course, results: Results | None) -> list[LanguageCourse]:
    """Validations of every language with what they are compared with."""
    scores = results.bits_per_byte if results else {}
    courses = []
    for language in sorted(went.languages(), key=lambda code: [*scores, code].index(code)):
        points = went.bits_per_byte(language)
        score = scores.get(language)
        found = ngrams(score) if score else {}
        courses.append(
            LanguageCourse(
                language=language,
                tokens=[tokens for tokens, _ in points],
                bits_per_byte=[value for _, value in points],
                references={f"{order}-gram": value for order, value in found.items()},
                final=score.value if score else None,
            )
        )
    return courses


def bar_groups(results: Results | None) -> list[dict[str, Any]]:
    """Per language: the score, its bars (label, value, width in per cent of the longest bar of all) and what they come
    to."""
    scores = results.bits_per_byte if results else {}
    rows = {
        language: [("this model", score.value), *reference_rows(score).items()] for language, score in scores.items()
    }
    longest = max((value for values in rows.values() for _, value in values if value is not None), default=1.0)
    return [
        {
            "language": language,
            "score": score,
            "bars": [
                {"label": label, "value": value, "width": None if value is None else 100.0 * value / longest}
                for label, value in rows[language]
            ],
            "verdict": verdict(score),
        }
        for language, score in scores.items()
    ]


def reference_rows(score: LanguageScore) -> dict[str, float | None]:
    """What the model's bits per byte are read against, by label."""
    found = {f"{order}-gram": value for order, value in reversed(ngrams(score).items())}
    return {**found, "untrained": score.rows.untrained, "uniform": score.rows.uniform}


def reference_table(results: Results | None) -> tuple[list[str], dict[str, list[float | None]]]:
    """Labels of all languages' references, and for each language its values in their order."""
    rows = {language: reference_rows(score) for language, score in (results.bits_per_byte if results else {}).items()}
    labels = list(dict.fromkeys(label for row in rows.values() for label in row))
    return labels, {language: [row.get(label) for label in labels] for language, row in rows.items()}


def task_rows(results: Results | None) -> list[dict[str, Any]]:
    """A row per task: the record, its baselines in words, and what the headline amounts to."""
    return [
        {
            "name": name,
            "task": task,
            "baselines": [(BASELINES.get(key, key), value) for key, value in baselines(task).items()],
            "judgement": judgement(task),
        }
        for name, task in (results.tasks.items() if results else ())
    ]


def pairs_chart(results: Results) -> Markup | None:
    """A row per task: the model with its interval, and every baseline; null without tasks."""
    tasks = {name: task for name, task in results.tasks.items() if task.headline.value is not None}
    if not tasks:
        return None

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for place, task in enumerate(tasks.values()):
            _task_row(axes, place, task)
        axes.set_yticks(range(len(tasks)), list(tasks))
        axes.set_ylim(len(tasks) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
        axes.set_xlabel("pairs of equal byte length in which the model prefers the correct side", loc="left")
        axes.tick_params("y", labelcolor=COLOURS["ink"])
        axes.grid(True, axis="x")
        axes.grid(False, axis="y")
        axes.plot([], [], "D-", color=COLOURS["s1"], label="this model, 95 % interval")
        for name, (mark, role) in _MARKS.items():
            axes.plot([], [], mark, color=COLOURS[role], markerfacecolor="none", label=BASELINES[name])
        figure.legend(loc="outside upper left", ncols=5, handlelength=1.0, columnspacing=1.6)

    label = "; ".join(f"{name}: {percent(task.headline.value)}" for name, task in tasks.items())
    return render(draw, "pairs", label, (WIDTH, 0.95 + 0.42 * len(tasks)))


def _task_row(axes: Any, place: int, task: PairScore) -> None:
    for name, value in baselines(task).items():
        if value is not None and name in _MARKS:
            mark, role = _MARKS[name]
            big = 13 if mark == "|" else 7
            axes.plot([value], [place], mark, color=COLOURS[role], markerfacecolor="none", markersize=big)
    model = task.headline
    if model.low is not None and model.high is not None:
        axes.plot([model.low, model.high], [place, place], color=COLOURS["s1"], linewidth=2.2)
    axes.plot([model.value], [place], "D", color=COLOURS["s1"], markersize=7)
    axes.annotate(
        percent(model.value),
        (model.value, place),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        color=COLOURS["s1"],
        weight="bold",
    )
