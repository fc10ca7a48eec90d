"""The evaluation's results as typed records, and what the report says about them in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from eurolm.evaluate.results import SCHEMA, LanguageScore, PairScore, Results

BASELINES = {
    "uniform": "a coin",
    "shortest": "always the shorter side",
    "fewest_tokens": "always the side with fewer tokens",
    "untrained": "the untrained model",
}
"""Names of `Baselines` fields in words."""


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


def baselines(task: PairScore) -> dict[str, float | None]:
    """Accuracies of the headline's baselines by name."""
    return dataclasses.asdict(task.baselines)


def verdict(score: LanguageScore) -> str:
    """`0.31 below the 3-gram model, 0.04 above the 5-gram model`; empty without n-gram figures."""
    return ", ".join(
        f"{abs(other - score.value):.2f} {'below' if score.value < other else 'above'} the {order}-gram model"
        for order, other in ngrams(score).items()
    )


def judgement(task: PairScore) -> str:
    """Whether the headline can be told from the best of its baselines."""
    if task.above_baseline is None:
        return "not measured"
    return "above the best baseline" if task.above_baseline else "not told apart from the best baseline"
