"""Rows of hub datasets become the records tasks read; rows of another form stop with what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from eurolm.cli.main import cli
from eurolm.errors import ConfigError, InputError
from eurolm.tasks.convert import ROWS, Row, converted
from eurolm.tasks.description import HubSource
from eurolm.tasks.fetch import fetch, hub_rows, keep
from eurolm.tasks.items import items, items_sha256
from eurolm.tasks.load import FETCHED, fetched_names, load_task, with_items
from eurolm.tasks.prompts import prompts

OPTIONS = {"option_a": "a1", "option_b": "b1", "option_c": "c1", "option_d": "d1"}
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "arc": [
        {"id": "M1", "question": "Kas?", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "B"},
        {"id": "M2", "question": "Kas?", "choices": {"text": ["x", "z"], "label": ["1", "2"]}, "answerKey": "1"},
    ],
    "belebele": [
        {
            "link": "https://en.wikibooks.org/wiki/A", "question_number": place, "flores_passage": "Teksts.",
            "question": "Kas?", "mc_answer1": "a", "mc_answer2": "b", "mc_answer3": "c", "mc_answer4": "d",
            "correct_answer_num": str(place), "dialect": "lvs_Latn", "ds": "2023-05-03",
        }
        for place in (1, 2)
    ],
    "choice_list": [{"id": "anatomy/test/0", "question": "Kas?", "choices": ["a", "b", "c", "d"], "answer": 3}],
    "four_options": [
        {"question": "Kas?", **OPTIONS, "answer": 2, "domain": "STEM", "subject": "Physics"},
        {"sample_id": "s/1", "question": "Kas?", **OPTIONS, "answer": "D", "subject": "law"},
    ],
    "gsm8k": [{"id": 5, "question": "Cik?", "answer": "Vispirms 3.\n#### 1,234"}],
    "hellaswag": [{"ind": 7, "ctx": "Viņa ", "endings": ["iet.", "skrien.", "lec.", "guļ."], "label": "2"}],
    "multiblimp": [{"sen": "Es eju.", "wrong_sen": "Es ej."}, {"sen": "Tu ej.", "wrong_sen": "Tu eju."}],
    "reading": [{"id": "w1", "context": "Raksts.", "question": "Kas?", "answers": {"text": ["A"]}}],
    "taltech": [{"id": 96, "küsimus": "Mis?", "vastusevariandid": ["x", "y", "z", "w"], "vastus": 1}],
    "truthfulqa": [
        {"id": "t", "question": "Kas?", "mc1_targets": {"choices": ["jā", "nē", "var"], "labels": [1, 0, 0]}},
        {"id": "u", "question": "Kad?", "mc1_targets": {"choices": ["tad", "nekad"], "labels": [1, 0]}},
    ],
    "winogrande": [
        {"qID": "3X-1", "sentence": "See ei mahu, sest _ on lai.", "option1": "uks", "option2": "auk", "answer": ""},
        {"qID": "3X-2", "sentence": "Ta _ istus.", "option1": "ei", "option2": "ju", "answer": "2"},
    ],
}  # fmt: skip
EXPECTED: dict[str, list[tuple[int, str]]] = {
    "arc": [(1, "y"), (0, "x")],
    "belebele": [(0, "a"), (1, "b")],
    "choice_list": [(3, "d")],
    "four_options": [(2, "c1"), (3, "d1")],
    "hellaswag": [(2, "lec.")],
    "multiblimp": [(0, "Es eju."), (0, "Tu ej.")],
    "taltech": [(1, "y")],
    "truthfulqa": [(0, "jā"), (0, "tad")],
    "winogrande": [(0, "See ei mahu, sest uks on lai."), (0, "Ta ju istus.")],
}


def rows(convert: str, changes: dict[str, Any] | None = None) -> list[Row]:
    return [
        Row({**values, **(changes or {})}, "anatomy_LV", number, f"some/dataset row {number}")
        for number, values in enumerate(SAMPLES[convert])
    ]


@pytest.mark.parametrize("name", fetched_names())
def test_rows_of_every_fetched_task_become_items_and_prompts(name: str, tmp_path: Path) -> None:
    task = load_task(name)
    assert task.source.hub is not None
    convert = task.source.hub.convert
    place = keep(task, converted(iter(rows(convert)), convert), tmp_path / "items.jsonl")
    found = items(with_items(task, place))
    assert len(found) == len(SAMPLES[convert])
    if convert in EXPECTED:
        assert [(item.gold, item.choices[item.gold or 0]) for item in found] == EXPECTED[convert]
    else:
        assert [item.references for item in found] == [("1234",) if convert == "gsm8k" else ("A",)]
    for template in task.templates or [""]:
        for prompt in prompts(with_items(task, place), found, template):
            assert prompt.context == prompt.context.rstrip()


def test_every_converter_has_a_task() -> None:
    assert {load_task(name).source.hub.convert for name in fetched_names()} == set(ROWS) == set(SAMPLES)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("convert", "changes", "said"),
    [
        (
            "belebele",
            {"mc_answer3": None},
            "row 0: field 'mc_answer3' must be str, not None. Its fields: link",
        ),
        ("belebele", {"correct_answer_num": "5"}, "'5' is none of its 4 choices"),
        ("four_options", {"answer": "E"}, "'E' is none of its 4 choices"),
        ("four_options", {"answer": None}, "must name the right choice by letter or number, not None"),
        ("arc", {"answerKey": "Q"}, "answerKey 'Q' is no label"),
        ("gsm8k", {"answer": "42"}, "must end with #### and a number"),
        ("truthfulqa", {"mc1_targets": {"choices": ["a"], "labels": [0]}}, "with one 1"),
        ("winogrande", {"sentence": "Auk puudub."}, "must hold one gap _"),
        ("reading", {"answers": {"text": []}}, "with an answer"),
        ("taltech", {"vastus": 9}, "9 is none of its 4 choices"),
    ],
)
def test_rows_of_another_form_are_refused(convert: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        list(converted(iter(rows(convert, changes)), convert))


def test_a_dataset_is_read_config_by_config_without_running_code(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    configs = []
    for name, answer in (("math_LV", 0), ("law_LV", 1), ("law_ET", 2)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"question": name, **OPTIONS, "answer": answer}) + "\n")
        configs.append(f"- config_name: {name}\n  data_files: [{{split: test, path: {name}.jsonl}}]\n")
    (tmp_path / "README.md").write_text("---\nconfigs:\n" + "".join(configs) + "---\n")
    source = HubSource(
        hub=str(tmp_path), config="*_LV", split="test", revision="main", convert="four_options", schema_checked=True
    )
    found = list(converted(hub_rows(source), "four_options"))
    assert [(record["question"], record["answer"], record["group"]) for record in found] == [
        ("law_LV", 1, "law_LV"),
        ("math_LV", 0, "math_LV"),
    ]


def test_without_network_a_task_says_where_to_fetch_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setenv(FETCHED, str(tmp_path))
    task = load_task("belebele-lv")
    with pytest.raises(InputError, match=r"does not exist\. On a machine with network: eurolm tasks fetch belebele-lv"):
        items(task)
    with pytest.raises(InputError, match=r"does not exist\. On a machine with network"):
        items_sha256(task)
    with pytest.raises(InputError, match=r"does not exist\. On a machine with network"):
        items(with_items(load_task("copa-lv"), "full"))
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"facebook/belebele cannot be read: .* on a login node"):
        fetch(task)
    with pytest.raises(ConfigError, match="scala-lv has no public source to fetch: The pairs were generated"):
        fetch(load_task("scala-lv"))


def test_fetched_items_are_found_again_and_never_fetched_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FETCHED, str(tmp_path))
    task = load_task("trivia-et")
    place = keep(task, converted(iter(rows("taltech")), "taltech"), task.fetched_path)
    assert fetch(task) == place and place.parent == tmp_path
    assert items(task)[0].text == "" and items(task)[0].choices == ("x", "y", "z", "w")
    unchecked = load_task("hellaswag-lv")
    keep(unchecked, converted(iter(rows("hellaswag")), "hellaswag"), unchecked.fetched_path)
    said = CliRunner().invoke(cli, ["tasks", "fetch", "trivia-et", "hellaswag-lv"], catch_exceptions=False)
    assert str(place) in said.stdout + said.stderr
    assert (said.stdout + said.stderr).count("look at a few items before you trust a score") == 1


def test_what_cannot_be_read_back_is_not_taken_for_items(tmp_path: Path) -> None:
    task = load_task("trivia-et")
    with pytest.raises(InputError, match=r"unchecked-items\.jsonl:1: field 'answer'"):
        keep(task, iter([{"id": "1", "group": "g", "choices": ["a", "b"], "answer": 7}]), tmp_path / "items.jsonl")
    assert not (tmp_path / "items.jsonl").exists()
