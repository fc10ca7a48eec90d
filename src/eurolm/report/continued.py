"""What a training that continues a model did to its bits per byte: before, at the start, after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eurolm.model.records import VocabularyRecord
from eurolm.report.training import Course, number


@dataclass(frozen=True)
class Continued:
    """The lines `original`, `initial` and `validation` of a run's log, put beside each other.

    All of it on the same pieces of held-out text, so that the columns compare; other than in the final evaluation.
    """

    model: str
    """The directory that is continued."""
    vocabulary: str | None
    """What became of its embedding; null where the log does not say."""
    before: dict[str, Any]
    """Language → bits per byte of the model as it came, with its own tokenizer."""
    at_start: dict[str, Any]
    """With this run's tokenizer and the rows made for it, before the first step."""
    after: dict[str, Any]
    """At `step`, the last validation so far."""
    step: int | None
    left_out: str
    """Why there is nothing before; empty where there is."""

    def rows(self) -> list[tuple[str, float | None, float | None, float | None]]:
        """(language, before, at the start, after); null where it was not measured."""
        languages = list(dict.fromkeys([*self.before, *self.at_start, *self.after]))
        columns = (self.before, self.at_start, self.after)
        return [(code, *(number(column.get(code)) for column in columns)) for code in languages]  # type: ignore[misc]

    def as_json(self) -> dict[str, Any]:
        """The part of `report.json`."""
        figures = {code: {"before": b, "at_start": s, "after": a} for code, b, s, a in self.rows()}
        return {"model": self.model, "vocabulary": self.vocabulary, "step": self.step, "bits_per_byte": figures}


def continued(lines: Sequence[dict[str, Any]], went: Course) -> Continued | None:
    """Null for a training from initial weights of its own."""
    original = next((line for line in lines if line.get("event") == "original"), None)
    initial = next((line for line in lines if line.get("event") == "initial"), {})
    record = initial.get("vocabulary")
    if original is None and record is None:
        return None
    nothing: dict[str, Any] = {}
    first = next((line for line in went.validations if line.get("step") == 0), nothing)
    last = next((line for line in reversed(went.validations) if line.get("step")), nothing)
    return Continued(
        model=str((original or initial).get("model")),
        vocabulary=_said(record),
        before=_scores(original or {}),
        at_start=_scores(first),
        after=_scores(last),
        step=last.get("step"),
        left_out=_why(original),
    )


def _said(record: Any) -> str | None:
    try:
        return VocabularyRecord(**record).said()
    except TypeError:
        return None


def _scores(line: dict[str, Any]) -> dict[str, Any]:
    scores = line.get("bits_per_byte")
    return scores if isinstance(scores, dict) else {}


def _why(original: dict[str, Any] | None) -> str:
    if original is None:
        return "the run has no held-out text to score"
    return str(original.get("left_out") or "")
