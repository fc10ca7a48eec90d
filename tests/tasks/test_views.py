"""What a model sees of an item: eurolm's tasks by kind, other people's records by their shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.tasks.making import carried

from eurolm.tasks.load import task_names
from eurolm.tasks.views import record_views, views

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "eval"


@pytest.mark.parametrize("name", task_names())
def test_every_item_of_every_task_has_views(name: str) -> None:
    task, found = carried(name)
    for item in found:
        assert views(task, item)
        assert all(text.strip() for text in views(task, item))


def test_a_pair_is_seen_from_both_sides() -> None:
    task, (item, *_) = carried("scala-lv")
    assert views(task, item) == (item.good, item.bad)


def test_what_is_seen_follows_the_kind() -> None:
    seen = {name: views(task, found[0]) for name in task_names() for task, found in [carried(name)]}
    english, latvian = seen["tatoeba-en-lv"][1:]
    assert seen["tatoeba-en-lv"][0] == f"{english}\n{latvian}" and seen["tatoeba-lv-en"][1:] == (latvian, english)
    assert seen["flores-lv"] == (seen["flores-en-lv"][2],)
    assert seen["inflection-et"] == ("olete haaranud",)
    assert seen["fullstack-ner-lv"][0].startswith("50. 1995. gadā grupa zinātnieku izteica")
    assert seen["copa-lv"][1:] == (
        "Ceļinieki sasniedza robežu.\nRobežsargs pārbaudīja viņu pases.",
        "Ceļinieki sasniedza robežu.\nRobežsargs viņus apsūdzēja kontrabandas pārvadāšanā.",
    )
    assert not any("\nA. " in view or "Jautājums" in view for view in seen["mmlu-lv"])


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        # A text with its label and its id.
        ({"id": "x/1", "text": "Kaķis guļ.", "label": "animals"}, ("Kaķis guļ.",)),
        # Words split by an annotator belong together; their tags are no text.
        ({"tokens": ["Kaķis", "guļ", "."], "ner": ["O", "O", "O"]}, ("Kaķis guļ .",)),
        # Both languages of a translation, each alone too.
        (
            {"id": "1", "en": "The cat sleeps.", "lv": "Kaķis guļ."},
            ("The cat sleeps.\nKaķis guļ.", "The cat sleeps.", "Kaķis guļ."),
        ),
        # A question with a list of choices: whole, and with one choice at a time; a short question never alone.
        (
            {"id": "q", "question": "Cik ir divi?", "choices": ["Viens", "Trīs"], "answer": 1},
            ("Cik ir divi?\nViens\nTrīs", "Cik ir divi?\nViens", "Cik ir divi?\nTrīs"),
        ),
        # Numbered choices.
        (
            {"premise": "Sāka līt lietus.", "choice1": "Viņš sāka skriet.", "choice2": "Apstājās.", "ask": "why"},
            (
                "Sāka līt lietus.\nViņš sāka skriet.\nApstājās.",
                "Sāka līt lietus.\nViņš sāka skriet.",
                "Sāka līt lietus.\nApstājās.",
            ),
        ),
        # Several references.
        ({"source": "Ta läks .", "refs": ["Ta käis ."]}, ("Ta läks .\nTa käis .", "Ta läks .", "Ta käis .")),
        # Nested.
        ({"data": {"id": "a b", "parts": [{"text": "Viens teikums."}]}}, ("Viens teikums.",)),
        # Single words only: each by itself, so that nobody takes base and derived form for a text.
        ({"base": "art", "derived": "apart"}, ("art", "apart")),
        ({"id": "1", "score": 3}, ()),
    ],
)  # fmt: skip
def test_records_are_read_by_their_shape(record: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert record_views(record) == expected


def test_a_long_question_counts_without_its_choices() -> None:
    question = "Kura no šīm pilsētām ir Latvijas galvaspilsēta šodien?"
    assert question in record_views({"question": question, "choices": ["Rīga", "Tallina"]})


def test_named_fields_are_joined_in_their_order_and_nothing_else_counts() -> None:
    record = {"a": "pirmais", "b": "otrais teksts", "c": "trešais teksts", "choices": ["x", "y"]}
    assert record_views(record, ["b", "a"]) == ("otrais teksts\npirmais",)
    assert record_views(record, ["a", "choices"]) == ("pirmais\nx\ny", "pirmais\nx", "pirmais\ny")
    assert record_views(record, ["missing"]) == ()


def test_every_shared_record_has_a_view() -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared data is not beside this checkout")
    for path in sorted(SHARED.glob("*/*.jsonl*")):
        data = path.read_bytes()
        text = (zstandard.ZstdDecompressor().stream_reader(data).read() if path.suffix == ".zst" else data).decode()
        for line in text.splitlines()[:300]:
            assert record_views(json.loads(line)), (path, line)
