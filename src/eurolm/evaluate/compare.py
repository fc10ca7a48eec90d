"""Which differences between models are real: every shared task and language, tested on the items both have answered.

The first result is what the others are compared with. p-values of all tests of a comparison are corrected together by
Holm's method; a mean over tasks has an interval and no test of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from eurolm.errors import InputError
from eurolm.evaluate.intervals import Interval, mean_interval
from eurolm.evaluate.measures import Form, Measure, difference, value_of
from eurolm.evaluate.paired import LEVEL, Difference, holm
from eurolm.evaluate.results import RESULTS, read_results

SAMPLES, SEED = 10_000, 1
Line = dict[str, Any]
FORMS: dict[str, Form] = {"bits_per_byte": "ratio", "macro_f1": "macro_f1", "chrf": "chrf", "bleu": "bleu"}
"""Metrics that are no shares."""


@dataclass(frozen=True)
class Result:
    """One evaluation, as read from its directory."""

    name: str
    directory: Path
    values: dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One comparison of two models: other minus first."""

    subject: str
    """Task, `text LANGUAGE` for held-out text, or `mean LANGUAGE`."""
    metric: str
    better: str
    other: str
    """Name of the model compared with the first."""
    first_value: float
    other_value: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    corrected: float | None
    """By Holm's method over all rows with a test."""
    real: bool | None
    """Null where there is no test."""
    items: int


@dataclass(frozen=True)
class Comparison:
    """All rows, and what the reader must know."""

    names: list[str]
    rows: list[Row]
    warnings: list[str]


def read_result(name: str, directory: Path) -> Result:
    """The results in a directory. Raises InputError where there are none or they are of another schema."""
    return Result(name, directory, read_results(directory))


def find_results(source: str, workspace: Path) -> Path:
    """The directory of results meant by a run's name, a run directory or a directory of results. Raises InputError."""
    for place in (workspace / "runs" / source / "evaluation", Path(source) / "evaluation", Path(source)):
        if (place / RESULTS).is_file():
            return place
    raise InputError(
        f"{source} is neither an evaluated run in {workspace / 'runs'} nor a directory with a {RESULTS}. "
        "eurolm evaluate writes one."
    )


def compare(results: Sequence[Result], samples: int = SAMPLES) -> Comparison:
    """Compare every result with the first. Raises InputError where two have nothing in common."""
    first = results[0]
    warnings: list[str] = []
    rows: list[Row] = []
    for other in results[1:]:
        found = [*_tasks(first, other, samples, warnings), *_text(first, other, samples)]
        if not found:
            raise InputError(f"{first.name} and {other.name} share neither a task nor held-out text.")
        rows += found
    corrected = holm([row.p_value for row in rows])
    tested = [
        replace(row, corrected=p, real=None if p is None else p < LEVEL) for row, p in zip(rows, corrected, strict=True)
    ]
    return Comparison([result.name for result in results], tested + _means(tested, first, results[1:]), warnings)


def _tasks(first: Result, other: Result, samples: int, warnings: list[str]) -> list[Row]:
    rows = []
    for name, task in first.values["tasks"].items():
        twin = other.values["tasks"].get(name)
        if twin is None or twin["headline"] != task["headline"]:
            continue
        if twin["prompts_sha256"] != task["prompts_sha256"]:
            warnings.append(f"{name}: {first.name} and {other.name} were not asked in the same words or on all items.")
        metric = task["headline"]
        form = FORMS.get(metric, "share")
        own, theirs = (_lines(result.directory / f"items-{name}.jsonl") for result in (first, other))
        rows += _row(name, metric, form, task["scores"][metric]["better"], other.name, own, theirs, samples,
                     _rows_of(metric))  # fmt: skip
    return rows


def _rows_of(metric: str) -> Callable[[Line], list[float]]:
    return lambda line: list(line["rows"][metric])


def _text(first: Result, other: Result, samples: int) -> list[Row]:
    rows = []
    for language in first.values["bits_per_byte"]:
        if language in other.values["bits_per_byte"]:
            own, theirs = (_lines(result.directory / f"documents-{language}.jsonl") for result in (first, other))
            rows += _row(f"text {language}", "bits_per_byte", "ratio", "lower", other.name, own, theirs, samples,
                         lambda line: [line["bits"], line["bytes"]])  # fmt: skip
    return rows


def _row(
    subject: str,
    metric: str,
    form: Form,
    better: str,
    other: str,
    own: dict[str, Line],
    theirs: dict[str, Line],
    samples: int,
    numbers: Callable[[Line], list[float]],
) -> list[Row]:
    """No row where nothing is shared, one else."""
    shared = [name for name in own if name in theirs]
    if not shared:
        return []
    tables = [np.array([numbers(lines[name]) for name in shared], np.float64) for lines in (theirs, own)]
    clusters = [own[name].get("cluster") or own[name].get("group") or name for name in shared]
    counted = (tables[0][:, 1] > 0) | (tables[1][:, 1] > 0) if form == "share" else np.ones(len(shared), bool)
    if not counted.any():
        return []
    kept = [cluster for cluster, there in zip(clusters, counted, strict=True) if there]
    mine = [Measure(metric, form, table[counted]) for table in tables]
    found: Difference = difference(mine[0], mine[1], kept, samples, SEED)
    value = value_of(form)
    return [
        Row(
            subject=subject,
            metric=metric,
            better=better,
            other=other,
            first_value=float(value(mine[1].rows.sum(0))),
            other_value=float(value(mine[0].rows.sum(0))),
            difference=found.value,
            low=found.interval.low,
            high=found.interval.high,
            p_value=found.p_value,
            corrected=None,
            real=None,
            items=found.items,
        )
    ]


def _means(rows: Sequence[Row], first: Result, others: Sequence[Result]) -> list[Row]:
    """A row per language and model with several tasks between 0 and 1."""
    means = []
    for other in others:
        for language in first.values["macro"]:
            own = [
                row
                for row in rows
                if row.other == other.name
                and row.better == "higher"
                and first.values["tasks"].get(row.subject, {}).get("language") == language
            ]
            if len(own) < 2:
                continue
            interval = mean_interval([row.difference for row in own], [Interval(row.low, row.high) for row in own])
            one, two = (
                float(np.mean(values)) for values in zip(*((r.first_value, r.other_value) for r in own), strict=True)
            )
            means.append(
                Row(f"mean {language}", "headlines", "higher", other.name, one, two, two - one, interval.low,
                    interval.high, None, None, None, sum(row.items for row in own))
            )  # fmt: skip
    return means


def _lines(path: Path) -> dict[str, Line]:
    """Records by id. Raises InputError for a file that is missing or damaged."""
    try:
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {line["id"]: line for line in found}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read: {error}. Evaluate again.") from None
