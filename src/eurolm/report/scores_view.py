"""Scores as rows and charts: bits per byte beside the n-gram models, tasks beside their baselines."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from eurolm.evaluate.results import LanguageScore, Results, TaskScore
from eurolm.report.charts import WIDTH, LanguageCourse
from eurolm.report.numbers import percent
from eurolm.report.scores import BASELINES, METRICS, amount, amounts, best, headline_of, judgement, ngrams, verdict
from eurolm.report.svg import COLOURS, render
from eurolm.report.training import Course

_MARKS = {
    "uniform": ("|", "muted"),
    "majority": ("s", "s4"),
    "shortest": ("v", "s2"),
    "longest": ("^", "s2"),
    "fewest_tokens": ("<", "s3"),
    "copy": ("P", "s6"),
    "untrained": ("o", "s5"),
}


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
    """A row per task: its headline, what it amounts to, and a row per metric, headline first."""
    return [_task_rows(name, task) for name, task in (results.tasks.items() if results else ())]


def _task_rows(name: str, task: TaskScore) -> dict[str, Any]:
    score = headline_of(task)
    others = [metric for metric in task.scores if metric != task.headline]
    return {
        "name": name,
        "task": task,
        "items": score.figure.items,
        "value": amount(score, score.figure.value),
        "interval": amounts(score) if score.figure.low is not None else None,
        "metric": METRICS.get(task.headline, task.headline),
        "baselines": [
            (label, amount(score, score.baselines[key])) for key, label in BASELINES.items() if key in score.baselines
        ],
        "best": best(task),
        "judgement": judgement(task),
        "metrics": [_metric_row(task, metric) for metric in (task.headline, *others)],
        "spread": _spread(task),
        "groups": [(group, amount(score, one.value), one.items) for group, one in task.groups.items()],
    }


def _metric_row(task: TaskScore, metric: str) -> dict[str, Any]:
    score = task.scores[metric]
    return {
        "metric": METRICS.get(metric, metric),
        "items": score.figure.items,
        "value": amount(score, score.figure.value),
        "interval": amounts(score),
        "baselines": {key: amount(score, value) for key, value in score.baselines.items()},
    }


def _spread(task: TaskScore) -> dict[str, Any] | None:
    spread = task.spread
    if spread is None or len(spread.values) < 2:
        return None
    score = headline_of(task)
    return {
        "values": [(name, amount(score, value)) for name, value in spread.values.items()],
        "deviation": None if spread.standard_deviation is None else 100 * spread.standard_deviation,
    }


def baseline_columns(results: Results | None) -> list[tuple[str, str]]:
    """Baselines that any task has, as key and words, in the order in which they are shown."""
    tasks = results.tasks.values() if results else ()
    there = {key for task in tasks for score in task.scores.values() for key in score.baselines}
    return [(key, label) for key, label in BASELINES.items() if key in there]


def contamination_rows(results: Results | None) -> list[dict[str, Any]]:
    """Tasks whose items were sought in the training text: the headline with and without those found."""
    rows = []
    for name, task in results.tasks.items() if results else ():
        score, found = headline_of(task), task.contamination
        if found is not None:
            rows.append(
                {
                    "name": name,
                    "hits": found.hits,
                    "unchecked": found.unchecked,
                    "all": amount(score, score.figure.value),
                    "without": amount(score, found.without.value),
                    "only": amount(score, found.only.value),
                }
            )
    return rows


def tasks_chart(results: Results) -> Markup | None:
    """A row per task between 0 and 1: the model with its interval, and every baseline; null without such tasks."""
    tasks = {
        name: task
        for name, task in results.tasks.items()
        if headline_of(task).better == "higher" and headline_of(task).figure.value is not None
    }
    if not tasks:
        return None
    shown = [key for key in _MARKS if any(key in headline_of(task).baselines for task in tasks.values())]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for place, task in enumerate(tasks.values()):
            _task_row(axes, place, task)
        axes.set_yticks(range(len(tasks)), list(tasks))
        axes.set_ylim(len(tasks) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
        axes.set_xlabel("headline metric of each task", loc="left")
        axes.tick_params("y", labelcolor=COLOURS["ink"])
        axes.grid(True, axis="x")
        axes.grid(False, axis="y")
        axes.plot([], [], "D-", color=COLOURS["s1"], label="this model, 95 % interval")
        for name in shown:
            mark, role = _MARKS[name]
            axes.plot([], [], mark, color=COLOURS[role], markerfacecolor="none", label=BASELINES[name])
        figure.legend(loc="outside upper left", ncols=4, handlelength=1.0, columnspacing=1.6)

    label = "; ".join(f"{name}: {percent(headline_of(task).figure.value)}" for name, task in tasks.items())
    return render(draw, "tasks", label, (WIDTH, 1.15 + 0.42 * len(tasks)))


def _task_row(axes: Any, place: int, task: TaskScore) -> None:
    score = headline_of(task)
    for name, value in score.baselines.items():
        if name in _MARKS:
            mark, role = _MARKS[name]
            big = 13 if mark == "|" else 7
            axes.plot([value], [place], mark, color=COLOURS[role], markerfacecolor="none", markersize=big)
    model = score.figure
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
