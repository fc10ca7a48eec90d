"""Entities: what is written as an answer is read back, and what a model gets wrong counts."""

from __future__ import annotations

import random

import pytest
from tests.tasks.making import carried

from eurolm.tasks.entities import as_answer, counted, entities_of_tags, from_answer, micro_f1
from eurolm.tasks.load import load_task, task_names

WORDS = {"PER": "persona", "LOC": "vieta"}


@pytest.mark.parametrize("name", [name for name in task_names() if load_task(name).kind == "sequence_labelling"])
def test_the_right_answer_of_every_item_is_read_back(name: str) -> None:
    task, found = carried(name)
    counts = []
    for item in found:
        answer = as_answer(item.labels, task.labels, task.no_entities or "")
        assert "\n" not in answer
        counts.append(counted(item.labels, from_answer(f" {answer}\nvēl", task.labels, task.no_entities or "")))
    assert micro_f1(counts) == 1.0
    assert sum(right for right, _, _ in counts) > 600


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("persona: Jānis Bērziņš; vieta: Rīga", (("PER", "Jānis Bērziņš"), ("LOC", "Rīga"))),
        (" Persona :  Jānis  Bērziņš ;\nvieta: Rīga", (("PER", "Jānis Bērziņš"),)),
        ("nav", ()),
        ("Nav", ()),
        ("", ()),
        ("nav zināms", ()),
        ("augs: roze; vieta: ", (("augs", "roze"),)),
        ("vieta: plkst. 10:30", (("LOC", "plkst. 10:30"),)),
    ],
)
def test_answers_are_read_as_they_are_meant(answer: str, found: tuple) -> None:
    assert from_answer(answer, WORDS, "nav") == found


def test_entities_count_by_label_text_and_number() -> None:
    gold = (("LOC", "Rīga"), ("LOC", "Rīga"), ("PER", "Anna"))
    assert counted(gold, (("LOC", "Rīga"), ("LOC", "Anna"))) == (1, 1, 2)
    assert counted(gold, gold) == (3, 0, 0)
    assert counted((), ()) == (0, 0, 0)


def test_micro_f1_is_that_of_precision_and_recall() -> None:
    draw = random.Random(5)
    names = [(label, name) for label in "AB" for name in "xyz"]
    counts = [counted(tuple(draw.choices(names, k=4)), tuple(draw.choices(names, k=3))) for _ in range(200)]
    right, wrong, missed = (sum(column) for column in zip(*counts, strict=True))
    precision, recall = right / (right + wrong), right / (right + missed)
    assert micro_f1(counts) == pytest.approx(2 * precision * recall / (precision + recall))
    assert micro_f1([(0, 0, 0)]) == micro_f1([(0, 3, 2)]) == 0.0


def test_tags_without_a_beginning_begin_an_entity() -> None:
    tags = ["I-PER", "I-PER", "B-PER", "I-LOC", "O", "I-LOC"]
    assert entities_of_tags(list("abcdef"), tags) == (("PER", "a b"), ("PER", "c"), ("LOC", "d"), ("LOC", "f"))
