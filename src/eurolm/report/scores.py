"""The evaluation's results as typed records, and what the report says about them in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from eurolm.evaluate.results import SCHEMA, LanguageScore, Results, Score, TaskScore
from eurolm.report.numbers import NOT_MEASURED, between, fixed, percent, percent_between

BASELINES = {
    "uniform": "at random",
    "majority": "always the most frequent answer",
    "shortest": "always the shortest",
    "longest": "always the longest",
    "fewest_tokens": "always the fewest tokens",
    "copy": "the input as the answer",
    "nothing": "finding nothing",
    "untrained": "the untrained model",
}
"""Names of baselines in words, in the order in which they are shown."""
METRICS = {
    "accuracy_equal_bytes": "pairs of equal length",
    "accuracy": "accuracy",
    "accuracy_per_byte": "accuracy per byte",
    "accuracy_unconditional": "accuracy against the choice alone",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "precision": "precision",
    "recall": "recall",
    "exact_match": "exact match",
    "chrf": "chrF",
    "bleu": "BLEU",
    "bits_per_byte": "bits per byte",
}
"""Names of metrics in words."""


def parse(results: Mapping[str, Any]) -> tuple[Results | None, str]:
    """The records of a `results.json`, or null and the reason why it cannot be read."""
    if results.get("schema") != SCHEMA:
        return None, f"evaluation/results.json has schema {results.get('schema')}, this eurolm reads {SCHEMA}"
    try:
        return TypeAdapter(Results).validate_python(dict(results)), ""
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return None, f"evaluation/results.json does not fit its schema at {where}: {first['msg']}"


def ngrams(score: LanguageScore) -> dict[str, float]:
    """Bits per byte of the character n-gram models by order, lowest first: `3`, `5`."""
    return dict(sorted(score.rows.ngrams.items(), key=lambda item: item[0].zfill(3)))


def headline_of(task: TaskScore) -> Score:
    """The score that stands for a task."""
    return task.scores[task.headline]


def amount(score: Score, value: float | None) -> str:
    """A value of a metric as it is written: in per cent, or bits per byte."""
    return percent(value) if score.better == "higher" else fixed(value)


def amounts(score: Score) -> str:
    """The interval of a score as it is written."""
    figure = score.figure
    write = percent_between if score.better == "higher" else between
    return write(figure.low, figure.high)


def verdict(score: LanguageScore) -> str:
    """`0.31 below the 3-gram model, 0.04 above the 5-gram model`; empty without n-gram figures."""
    return ", ".join(
        f"{abs(other - score.value):.2f} {'below' if score.value < other else 'above'} the {order}-gram model"
        for order, other in ngrams(score).items()
    )


def judgement(task: TaskScore) -> str:
    """Whether the headline can be told from the best of its baselines."""
    score = headline_of(task)
    if score.above_baseline is None:
        return "not measured" if score.figure.value is None else "no interval, so not told apart from the baselines"
    # "above chance" means above the best of the baselines, beyond the interval.
    return "above the best baseline" if score.above_baseline else "not told apart from the best baseline"


def best(task: TaskScore) -> str:
    """The best baseline in words with its value."""
    score = headline_of(task)
    if score.best_baseline is None:
        return NOT_MEASURED
    name = BASELINES.get(score.best_baseline, score.best_baseline)
    return f"{name}, {amount(score, score.baselines[score.best_baseline])}"
