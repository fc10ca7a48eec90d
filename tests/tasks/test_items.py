"""Items are read as they are; damaged ones are refused with file, line and rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.tasks.making import lines, make_task

from eurolm.errors import InputError
from eurolm.tasks.items import items

PAIR = {"id": "1", "doc": "d", "good": "labs teikums", "bad": "slikts teikums"}
CHOICE = {"id": "1", "question": "Kas?", "choices": ["viens", "divi", "trīs"], "answer": 2}
LABELLED = {"id": "1", "tokens": ["Jānis", "Bērziņš", "Rīgā"], "ner": ["B-PER", "I-PER", "B-LOC"]}


def test_own_items_are_read_plain_and_compressed(tmp_path: Path) -> None:
    content = lines(PAIR, {**PAIR, "id": "2", "doc": None})
    plain = items(make_task(tmp_path, "minimal_pairs", content))
    assert [(item.id, item.cluster, item.good, item.bad, item.gold) for item in plain] == [
        ("1", "d", "labs teikums", "slikts teikums", 0),
        ("2", "2", "labs teikums", "slikts teikums", 0),
    ]
    assert items(make_task(tmp_path, "minimal_pairs", zstandard.compress(content), "mine.jsonl.zst")) == plain


def test_each_kind_is_read_into_its_fields(tmp_path: Path) -> None:
    spaced = {**CHOICE, "choices": [" viens", "divi ", "trīs"]}
    choice = items(make_task(tmp_path, "multiple_choice", lines(spaced)))[0]
    assert (choice.choices, choice.gold) == (("viens", "divi", "trīs"), 2)
    text = items(make_task(tmp_path, "classification", lines({"id": "1", "text": "Ā", "label": "neg"})))[0]
    assert (text.text, text.gold) == ("Ā", 1)
    answers = items(make_task(tmp_path, "generation", lines({"id": "1", "question": "?", "answers": ["a", "b"]})))[0]
    assert answers.references == ("a", "b")
    entities = items(make_task(tmp_path, "sequence_labelling", lines(LABELLED)))[0]
    assert entities.text == "Jānis Bērziņš Rīgā"
    assert entities.labels == (("PER", "Jānis Bērziņš"), ("LOC", "Rīgā"))


def test_records_of_one_key_are_one_item_with_several_answers(tmp_path: Path) -> None:
    records = [
        {"lemma": "maja", "feats": "A;B", "form": "majja"},
        {"lemma": "maja", "feats": "A;B", "form": "majasse"},
        {"lemma": "maja", "feats": "C", "form": "maja"},
        {"lemma": "maja", "feats": "A;B", "form": "majja"},
    ]
    found = items(make_task(tmp_path, "inflection", lines(*records)))
    assert [(item.id, item.references) for item in found] == [("maja/A;B", ("majja", "majasse")), ("maja/C", ("maja",))]


def test_only_records_that_are_wanted_are_items(tmp_path: Path) -> None:
    records = [{**PAIR, "id": str(place), "error": place % 2 == 0} for place in range(5)]
    task = make_task(tmp_path, "minimal_pairs", lines(*records), where={"error": True})
    assert [item.id for item in items(task)] == ["0", "2", "4"]
    task = make_task(tmp_path, "minimal_pairs", lines(*records), where={"error": "maybe"})
    with pytest.raises(InputError, match=r"has 5 records, none with \{'error': 'maybe'\}"):
        items(task)


@pytest.mark.parametrize(
    ("kind", "records", "said"),
    [
        ("minimal_pairs", [{**PAIR, "good": ""}], "mine.jsonl:1: field 'good' must be a non-empty string, not ''"),
        ("minimal_pairs", [{**PAIR, "bad": " \n"}], "mine.jsonl:1: field 'bad' must be a non-empty string"),
        ("minimal_pairs", [{"id": "1", "good": "a"}], "mine.jsonl:1: field 'bad' .* not None"),
        ("minimal_pairs", [{**PAIR, "id": 7}], "mine.jsonl:1: field 'id' .* not 7"),
        ("minimal_pairs", [PAIR, PAIR], "mine.jsonl:2: id '1' was used in line 1 already"),
        ("minimal_pairs", [{**PAIR, "bad": PAIR["good"]}], "both sides of the pair are the same"),
        ("minimal_pairs", ["text"], "mine.jsonl:1: a JSON object is wanted, not str"),
        ("minimal_pairs", [], "is empty"),
        ("multiple_choice", [{**CHOICE, "answer": None}], "'answer', the right choice, .* from 0 to 2, not None"),
        ("multiple_choice", [{**CHOICE, "answer": 3}], "mine.jsonl:1: field 'answer', .* from 0 to 2, not 3"),
        ("multiple_choice", [{**CHOICE, "answer": -1}], "from 0 to 2, not -1"),
        ("multiple_choice", [{**CHOICE, "answer": True}], "from 0 to 2, not True"),
        ("multiple_choice", [{**CHOICE, "answer": "B"}], "from 0 to 2, not 'B'"),
        ("multiple_choice", [{**CHOICE, "choices": []}], "'choices' must not be an empty list"),
        ("multiple_choice", [{**CHOICE, "choices": ["a"]}], "must hold 2 to 26 choices, not 1"),
        ("multiple_choice", [{**CHOICE, "choices": ["a", "", "b"]}], "'choices', entry 2, must be a non-empty string"),
        ("multiple_choice", [{**CHOICE, "choices": ["a", 4, "b"]}], "entry 2, must be a non-empty string, not 4"),
        (
            "multiple_choice",
            [CHOICE, {**CHOICE, "id": "2", "choices": ["a", "b", "c", "d"]}],
            "mine.jsonl:2: 4 choices, where item '1' has 3",
        ),
        (
            "classification",
            [{"id": "1", "text": "a", "label": "maybe"}],
            "task's labels pos, neg, not 'maybe'",
        ),
        ("classification", [{"id": "1", "text": "a"}], "one of the task's labels pos, neg, not None"),
        ("generation", [{"id": "1", "answers": [""]}], "'answers', entry 1, must be a non-empty string"),
        ("sequence_labelling", [{**LABELLED, "ner": ["O"]}], "3 tokens need as many tags, not 1"),
        ("sequence_labelling", [{**LABELLED, "ner": ["O", "X", "O"]}], "tag 'X' is neither O nor B-TYPE nor I-TYPE"),
        ("sequence_labelling", [{**LABELLED, "ner": None}], "3 tokens need as many tags, not None"),
    ],
)
def test_damaged_items_are_refused(tmp_path: Path, kind: str, records: list[Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        items(make_task(tmp_path, kind, lines(*records)))


def test_different_numbers_of_choices_are_read_where_the_task_allows_them(tmp_path: Path) -> None:
    fields = {"choices": "choices", "gold": "answer", "choices_vary": True}
    content = lines(CHOICE, {**CHOICE, "id": "2", "choices": ["a", "b"], "answer": 0})
    assert len(items(make_task(tmp_path, "multiple_choice", content, fields=fields))) == 2


@pytest.mark.parametrize("span", [[0, 99, "PER"], [3, 3, "PER"], ["a", 2, "PER"], [0, 2], "x"])
def test_spans_outside_the_text_are_refused(tmp_path: Path, span: object) -> None:
    content = lines({"id": "1", "text": "Jānis Rīgā", "spans": [span]})
    with pytest.raises(InputError, match=r"mine.jsonl:1: span .* is no \[start, end, type\] within the text of 10"):
        items(make_task(tmp_path, "sequence_labelling", content, fields={"text": "text", "spans": "spans"}))


def test_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.jsonl:1: not JSON"):
        items(make_task(tmp_path, "minimal_pairs", b"{half"))
    with pytest.raises(InputError, match="is damaged"):
        items(make_task(tmp_path, "minimal_pairs", b'{"id": "\xff"}\n'))
    whole = zstandard.compress(lines(*({**PAIR, "id": str(number)} for number in range(500))))
    with pytest.raises(InputError, match="is damaged: the compressed file is cut short"):
        items(make_task(tmp_path, "minimal_pairs", whole[: len(whole) // 2], "mine.jsonl.zst"))
    with pytest.raises(InputError, match="is damaged"):
        items(make_task(tmp_path, "minimal_pairs", b"not zstd at all", "mine.jsonl.zst"))
    task = make_task(tmp_path, "minimal_pairs", b"")
    (tmp_path / "mine.jsonl").unlink()
    with pytest.raises(InputError, match="does not exist"):
        items(task)
