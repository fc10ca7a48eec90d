"""The tasks of an evaluation put to lm-evaluation-harness, as one unit: it starts once for all of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from eurolm.evaluate.answers import Answer, Question, Scoring, identity, read_answers
from eurolm.evaluate.lm_eval_answers import harness_answers
from eurolm.evaluate.subject import Subject


def harness(subject: Subject, questions: list[Question], how: Scoring) -> list[list[Answer]]:
    """The harness's answers to each question, in order. Raises NumericsError, and MachineError where it fails."""

    def compute() -> list[list[dict[str, Any]]]:
        with how.reporter.task("lm-evaluation-harness", 1, "runs"):
            found = how.ranks.from_first(lambda: harness_answers(subject, questions, how.special))
        return [[asdict(answer) for answer in given] for given in found]

    key = {"questions": [identity(subject, question, how, "lm-eval") for question in questions]}
    stored = how.units.value("tasks-lm-eval", key, compute)
    return [read_answers(question, given) for question, given in zip(questions, stored, strict=True)]
