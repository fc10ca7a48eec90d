"""From answers to measures: what each item earned under every metric of its task's kind, and what it said.

Where choices are scored, the prediction is the most probable one; equal ones go to the first, as in
lm-evaluation-harness, and are counted. Items without a finite answer are left out of every measure.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eurolm.evaluate.answers import Answer
from eurolm.evaluate.intervals import Floats
from eurolm.evaluate.measures import Measure
from eurolm.evaluate.translation import counts
from eurolm.tasks.entities import from_answer
from eurolm.tasks.load import Task
from eurolm.tasks.prompts import Prompt


@dataclass(frozen=True)
class Judged:
    """Measures over the items that have an answer, in the order of the prompts."""

    prompts: list[Prompt]
    answers: list[Answer]
    measures: dict[str, Measure]
    headline: str
    said: list[dict[str, Any]]
    """Per item, for a reader: what was predicted, what was right."""
    ties: int

    @property
    def clusters(self) -> list[str]:
        """Document of each item."""
        return [prompt.cluster for prompt in self.prompts]


def judge(task: Task, template: str, prompts: Sequence[Prompt], found: Sequence[Answer]) -> Judged:
    """Everything a task's kind is judged by, for one template."""
    pairs = [(prompt, answer) for prompt, answer in zip(prompts, found, strict=True) if answer.finite]
    asked, given = [prompt for prompt, _ in pairs], [answer for _, answer in pairs]
    match task.kind:
        case "minimal_pairs":
            return _pairs(asked, given)
        case "multiple_choice" | "classification":
            return _choices(task, template, asked, given)
        case "bits_per_byte":
            return _text(asked, given)
        case "sequence_labelling":
            return _entities(task, asked, given)
        case _:
            return _written(task, asked, given)


def sizes(prompt: Prompt) -> list[int]:
    """UTF-8 bytes of each choice, its leading space apart."""
    return [len(choice.strip().encode()) for choice in prompt.choices]


def shares(points: Sequence[float] | Floats, size: Sequence[float] | Floats | None = None) -> Floats:
    """Rows [items, 2] of points and the items they are of (1 each where `size` is null)."""
    return np.stack([np.asarray(points, np.float64), np.ones(len(points)) if size is None else np.asarray(size)], 1)


def _pairs(prompts: list[Prompt], given: list[Answer]) -> Judged:
    bits = np.array([answer.bits for answer in given]).reshape(-1, 2)
    size = np.array([[len(choice.encode()) for choice in prompt.choices] for prompt in prompts]).reshape(-1, 2)
    summed, per_byte = _preferred(bits), _preferred(bits / size)
    equal = (size[:, 0] == size[:, 1]).astype(np.float64)
    measures = {
        "accuracy_equal_bytes": Measure("accuracy_equal_bytes", "share", shares(summed * equal, equal)),
        "accuracy": Measure("accuracy", "share", shares(summed)),
        "accuracy_per_byte": Measure("accuracy_per_byte", "share", shares(per_byte)),
    }
    said = [{"bytes": row.tolist()} for row in size]
    return Judged(prompts, given, measures, "accuracy_equal_bytes", said, int((summed == 0.5).sum()))


def _preferred(scores: Floats) -> Floats:
    """1 where the first of two is greater, 0.5 where both are equal, else 0."""
    return np.asarray(np.sign(scores[:, 0] - scores[:, 1]) / 2 + 0.5)


def _choices(task: Task, template: str, prompts: list[Prompt], given: list[Answer]) -> Judged:
    letters = task.kind == "multiple_choice" and task.templates[template].formulation == "letters"
    ways = {"accuracy": [np.array(answer.bits) for answer in given]}
    if not letters:
        ways["accuracy_per_byte"] = [
            np.array(answer.bits) / sizes(prompt) for prompt, answer in zip(prompts, given, strict=True)
        ]
    if given and all(answer.unconditional for answer in given):
        ways["accuracy_unconditional"] = [np.array(answer.bits) - np.array(answer.unconditional) for answer in given]
    predicted = {name: [int(scores.argmax()) for scores in rows] for name, rows in ways.items()}
    golds = [prompt.gold for prompt in prompts]
    measures = {
        name: Measure(name, "share", shares([float(a == b) for a, b in zip(said, golds, strict=True)]))
        for name, said in predicted.items()
    }
    headline = "accuracy" if letters or task.kind == "classification" else "accuracy_per_byte"
    if task.kind == "classification":
        measures["macro_f1"] = Measure("macro_f1", "macro_f1", _classes(predicted[headline], golds, len(task.labels)))
    ties = sum(int((scores == scores.max()).sum() > 1) for scores in ways["accuracy"])
    said = [{"predicted": place, "gold": gold} for place, gold in zip(predicted[headline], golds, strict=True)]
    return Judged(prompts, given, measures, headline, said, ties)


def _classes(predicted: Sequence[int], golds: Sequence[int | None], classes: int) -> Floats:
    """Rows [items, 3 × classes] of (true positive, predicted, gold)."""
    rows = np.zeros((len(golds), classes, 3))
    for row, place, gold in zip(rows, predicted, golds, strict=True):
        row[place, 1] += 1
        row[gold or 0, 2] += 1
        row[place, 0] += place == gold
    return rows.reshape(len(golds), -1)


def _text(prompts: list[Prompt], given: list[Answer]) -> Judged:
    size = [len(prompt.choices[0].encode()) for prompt in prompts]
    measure = Measure("bits_per_byte", "ratio", shares([-answer.bits[0] for answer in given], size), "lower")
    said = [{"bytes": length} for length in size]
    return Judged(prompts, given, {"bits_per_byte": measure}, "bits_per_byte", said, 0)


def _written(task: Task, prompts: list[Prompt], given: list[Answer]) -> Judged:
    written = [answer_line(answer.text) for answer in given]
    golds = [prompt.references for prompt in prompts]
    exact = [
        float(text in {answer_line(reference) for reference in wanted})
        for text, wanted in zip(written, golds, strict=True)
    ]
    measures = {}
    if task.kind != "translation":
        measures["exact_match"] = Measure("exact_match", "share", shares(exact))
    if task.kind != "inflection":
        measures["chrf"] = Measure("chrf", "chrf", counts(written, golds, "chrf"))
    if task.kind == "translation":
        measures["bleu"] = Measure("bleu", "bleu", counts(written, golds, "bleu"))
    said = [{"written": text, "references": list(wanted)} for text, wanted in zip(written, golds, strict=True)]
    return Judged(prompts, given, measures, task.metric, said, 0)


def answer_line(text: str | None) -> str:
    """An answer as it is compared: NFC, single spaces, nothing around it."""
    return " ".join(unicodedata.normalize("NFC", text or "").split())


def _entities(task: Task, prompts: list[Prompt], given: list[Answer]) -> Judged:
    found = [from_answer(answer.text or "", task.labels, task.no_entities or "") for answer in given]
    rows = []
    for prompt, said in zip(prompts, found, strict=True):
        gold, predicted = Counter(prompt.labels), Counter(said)
        rows.append([(gold & predicted).total(), predicted.total(), gold.total()])
    hits, predicted_count, gold_count = np.array(rows, np.float64).reshape(-1, 3).T
    measures = {
        "micro_f1": Measure("micro_f1", "share", shares(2 * hits, predicted_count + gold_count)),
        "precision": Measure("precision", "share", shares(hits, predicted_count)),
        "recall": Measure("recall", "share", shares(hits, gold_count)),
    }
    records = [
        {"predicted": [list(one) for one in said], "gold": [list(one) for one in prompt.labels],
         "written": answer_line(answer.text)}
        for prompt, answer, said in zip(prompts, given, found, strict=True)
    ]  # fmt: skip
    return Judged(prompts, given, measures, "micro_f1", records, 0)
