"""The headline figures of a run, as `report.json` holds them, and the reason for each that was not measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eurolm.evaluate.results import Figure, LanguageScore, TaskScore
from eurolm.report.continued import continued
from eurolm.report.corpus_view import totals
from eurolm.report.inputs import CORPUS, METRICS, RESULTS, TOKENIZER, RunFiles
from eurolm.report.scores import headline_of, ngrams
from eurolm.report.training import Course, summary

SCHEMA = 1
_SOURCES = {
    "bits_per_byte": RESULTS,
    "tasks": RESULTS,
    "parameters": RESULTS,
    "training": METRICS,
    "continued": METRICS,
    "tokenizer": TOKENIZER,
    "corpus": CORPUS,
}
"""Where each part of the figures comes from."""


@dataclass(frozen=True)
class Headline:
    """`figures` goes into `report.json`; `not_measured` maps what is null in it to the reason."""

    figures: dict[str, Any]
    not_measured: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The content of `report.json`."""
        return {**self.figures, "not_measured": self.not_measured}


def headline(name: str, files: RunFiles, went: Course | None) -> Headline:
    """Collect the figures."""
    results = files.results
    figures: dict[str, Any] = {
        "schema": SCHEMA,
        "name": name,
        "parameters": results.parameters if results else None,
        "bits_per_byte": {code: _language(score) for code, score in results.bits_per_byte.items()} if results else None,
        "tasks": {name: _task(task) for name, task in results.tasks.items()} if results else None,
        "training": summary(went) if went else None,
        "tokenizer": _tokenizer(files.object(TOKENIZER)),
        "corpus": _corpus(files.object(CORPUS)),
    }
    if went is not None and (began := continued(files.lines(METRICS) or [], went)) is not None:
        figures["continued"] = began.as_json()
    missing = {key: files.reason(source) for key, source in _SOURCES.items() if figures.get(key, ...) is None}
    missing |= {key: f"{RESULTS} holds none" for key in ("bits_per_byte", "tasks") if figures[key] == {}}
    for path in _nulls(figures):
        missing.setdefault(path, _reason(path))
    return Headline(figures, missing)


def _nulls(figures: dict[str, Any]) -> list[str]:
    found: list[str] = []

    def walk(value: Any, path: str) -> None:
        if value is None and path:
            found.append(path)
        elif isinstance(value, dict):
            for key, item in value.items():
                walk(item, f"{path}.{key}" if path else str(key))

    walk(figures, "")
    return found


def _reason(path: str) -> str:
    """Why a single figure of a file that is there is null."""
    section = path.split(".")[0]
    if path == "training.step_seconds":
        return f"{METRICS} does not hold every step"
    if section == "tokenizer":
        return "there was no held-out text to measure on"
    if path.endswith("untrained"):
        return "the evaluation did not score the untrained model: see its notes"
    if path.endswith("above_baseline"):
        return "no interval, or nothing to compare with"
    if path.endswith("interval_95"):
        return "too few independent groups of documents for an interval"
    return f"{_SOURCES[section]} does not hold it"


def _interval(score: LanguageScore | Figure) -> list[float] | None:
    return None if score.low is None or score.high is None else [score.low, score.high]


def _language(score: LanguageScore) -> dict[str, Any]:
    return {
        "model": score.value,
        "interval_95": _interval(score),
        "ngram": ngrams(score),
        "untrained": score.rows.untrained,
        "uniform": score.rows.uniform,
        "documents": score.documents,
        "bytes": score.bytes,
    }


def _task(task: TaskScore) -> dict[str, Any]:
    score = headline_of(task)
    return {
        "metric": task.headline,
        "value": score.figure.value,
        "interval_95": _interval(score.figure),
        "items": score.figure.items,
        "baselines": score.baselines,
        "above_baseline": score.above_baseline,
    }


def _tokenizer(training: dict[str, Any] | None) -> dict[str, Any] | None:
    if training is None:
        return None
    measured = {code: facts.get("heldout") or {} for code, facts in training.get("languages", {}).items()}
    return {
        "vocab_size": training.get("vocab_size"),
        "bytes_per_token": {code: facts.get("bytes_per_token") for code, facts in measured.items()},
        "tokens_per_word": {code: facts.get("tokens_per_word") for code, facts in measured.items()},
    }


def _corpus(report: dict[str, Any] | None) -> dict[str, Any] | None:
    if report is None:
        return None
    found = totals(report)
    return {
        "read": found.get("read"),
        "invalid": found.get("invalid"),
        "dropped": found.get("dropped", {}),
        "kept": found.get("kept"),
        "kept_bytes": found.get("kept_bytes"),
        "heldout": found.get("heldout"),
        "heldout_bytes": found.get("heldout_bytes"),
    }
