"""Carried tasks are whole, say where they come from and state the baselines of their items."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import zstandard
from tests.tasks.making import KINDS, carried, lines, make_task

from eurolm.config.shipped import package_file
from eurolm.errors import ConfigError
from eurolm.tasks.baselines import baselines
from eurolm.tasks.description import WITHOUT_PROMPT
from eurolm.tasks.items import items
from eurolm.tasks.load import fetched_names, load_task, read_task, task_names, with_items
from eurolm.tasks.prompts import prompts

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "eval"
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "tasks.md"
ORIGINS = package_file("tasks/items/ORIGINS.md")
COLLECTED = {
    "lv/mmlu.jsonl.zst": "mmlu-lv", "lv/copa.jsonl": "copa-lv", "lv/scala.jsonl": "scala-lv",
    "lv/fullstack_ner.jsonl": "fullstack-ner-lv", "lv/multileg_ner.jsonl": "multileg-ner-lv",
    "lv/sib200.jsonl": "sib200-lv", "lv/unimorph_derivation.jsonl": "derivation-lv",
    "lv/tatoeba_en_lv.jsonl": "tatoeba-en-lv", "et/xcopa.jsonl": "xcopa-et",
    "et/inflection_swap.jsonl": "inflection-swap-et", "et/estgec_l2.jsonl": "estgec-et",
    "et/cefr_level.jsonl": "cefr-et", "et/estner_v1.jsonl": "estner-v1-et", "et/estner_new.jsonl": "estner-new-et",
    "et/multileg_ner.jsonl": "multileg-ner-et", "et/sib200.jsonl": "sib200-et",
    "et/unimorph_inflection.jsonl.zst": "inflection-et", "et/tatoeba_en_et.jsonl": "tatoeba-en-et",
    "multi/flores101_devtest.jsonl": "flores-lv", "multi/ntrex128.jsonl": "ntrex-et",
}  # fmt: skip


def decompressed(path: Path) -> bytes:
    data = path.read_bytes()
    return zstandard.ZstdDecompressor().decompressobj().decompress(data) if path.suffix == ".zst" else data


@pytest.mark.parametrize("name", task_names())
def test_a_carried_task_states_what_its_items_give(name: str) -> None:
    task, found = carried(name)
    computed = baselines(task, found).model_dump()
    assert {key: value and pytest.approx(value, abs=5e-4) for key, value in computed.items()} == (
        task.baselines.model_dump()
    )
    assert all(origin.commit in ORIGINS.read_text() for origin in task.origins)
    assert len({item.id for item in found}) == len(found)
    assert task.reviewed_by is None
    if task.kind not in WITHOUT_PROMPT:
        assert len(task.templates) >= 2
    longest = 0
    for template in task.templates or [""]:
        for prompt in prompts(task, found, template):
            ends = [len(text.encode()) for text in (*prompt.choices, *prompt.references)]
            longest = max(longest, len(prompt.context.encode()) + max(ends))
    assert longest == task.context_bytes


@pytest.mark.parametrize("path", sorted(COLLECTED))
def test_carried_items_are_the_collected_ones(path: str) -> None:
    if not SHARED.is_dir():
        pytest.skip("the collected data is not beside this checkout")
    carried = load_task(COLLECTED[path]).items_path
    records, collected = (map(json.loads, decompressed(file).splitlines()) for file in (carried, SHARED / path))
    assert list(records) == list(collected)


def test_the_origins_table_has_hash_and_tasks_of_every_file() -> None:
    rows = [line for line in ORIGINS.read_text().splitlines() if line.startswith("| `")]
    files = {path.name: path for path in ORIGINS.parent.glob("*.zst")}
    assert len(rows) == len(files)
    using: dict[str, list[str]] = {}
    for name in task_names():
        using.setdefault(load_task(name).items_path.name, []).append(name)
    for row in rows:
        name = row.split("`")[1]
        assert hashlib.sha256(decompressed(files[name])).hexdigest() in row
        records = decompressed(files[name]).splitlines()
        assert f" {len(records):,} |" in row
        assert all(task in row for task in using[name])
        assert load_task(using[name][0]).license in row


@pytest.mark.parametrize(("name", "count", "equal"), [("scala-lv", 1470, 662), ("inflection-swap-et", 2131, 236)])
def test_generated_pairs_have_clusters_and_equal_lengths_as_stated(name: str, count: int, equal: int) -> None:
    found = carried(name)[1]
    assert len(found) == count
    assert sum(len(item.good.encode()) == len(item.bad.encode()) for item in found) == equal
    row = next(line for line in ORIGINS.read_text().splitlines() if f"`{name}.jsonl.zst`" in line)
    assert f"| {count:,} | {len({item.cluster for item in found})} | {equal} |" in row


def test_every_collected_item_file_has_a_task() -> None:
    if not SHARED.is_dir():
        pytest.skip("the collected data is not beside this checkout")
    assert {str(path.relative_to(SHARED)) for path in SHARED.glob("*/*.jsonl*")} == set(COLLECTED)
    assert set(COLLECTED.values()) <= set(task_names())


def test_items_of_another_file_take_the_place_of_the_carried_ones(tmp_path: Path) -> None:
    record = {
        "id": "x",
        "premise": "Lija.",
        "choice1": "Slapjš.",
        "choice2": "Sauss.",
        "question": "effect",
        "label": 0,
    }
    (tmp_path / "mine.jsonl").write_bytes(lines(record))
    task = with_items(load_task("copa-lv"), tmp_path / "mine.jsonl")
    assert [item.id for item in items(task)] == ["x"]
    assert prompts(task, items(task))[0].context == "Lija, tāpēc"


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'scala-vl' is not a task. Did you mean scala-lv\?"):
        load_task("scala-vl")


def test_a_task_of_your_own_is_named_by_its_file(tmp_path: Path) -> None:
    make_task(tmp_path, "minimal_pairs", lines({"id": "1", "good": "a", "bad": "b"}))
    assert items(load_task(str(tmp_path / "mine.yaml")))[0].good == "a"
    with pytest.raises(ConfigError, match=r"other\.yaml, named as a task, does not exist"):
        load_task(str(tmp_path / "other.yaml"))


def test_names_are_of_one_kind_and_languages_stand_last() -> None:
    assert not set(task_names()) & set(fetched_names())
    for name in [*task_names(), *fetched_names()]:
        assert load_task(name).name == name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("license: CC0-1.0\norigins", "origins"), "mine.yaml: license: Field required"),
        (("written: native", "written: dreamt"), "mine.yaml: written: Input should be 'native'"),
        (("made_by:", "made_bye:"), "made_bye: Extra inputs are not permitted"),
        (("name: mine", "name: yours"), "name = 'yours' differs from the file's name"),
        (("kind:", "kind: ["), "is not a YAML mapping"),
        (
            ("kind: minimal_pairs", "kind: multiple_choice"),
            "multiple_choice are choices, gold, not bad, good",
        ),
        (("metric: pair_accuracy", "metric: accuracy"), "metric of minimal_pairs is pair_accuracy, not accuracy"),
        (("none: made here", ""), "source: Input should be a valid dictionary"),
    ],
)
def test_mistakes_in_a_description_name_the_field(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    make_task(tmp_path, "minimal_pairs", lines({"id": "1", "good": "a", "bad": "b"}))
    text = (tmp_path / "mine.yaml").read_text()
    assert change[0] in text
    (tmp_path / "mine.yaml").write_text(text.replace(*change))
    with pytest.raises(ConfigError, match=said):
        read_task(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("classification", {"labels": {}}, "labels are for classification and sequence_labelling, and needed there"),
        ("classification", {"templates": {}}, "classification has at least one template"),
        ("generation", {"max_new_tokens": 0}, "max_new_tokens is for answers that the model writes"),
        ("sequence_labelling", {"no_entities": None}, "no_entities is for sequence_labelling"),
        ("multiple_choice", {"templates": {"t": {"prompt": "x"}}}, "templates.t: formulation is for multiple_choice"),
        ("minimal_pairs", {"templates": {"t": {"prompt": "x"}}}, "minimal_pairs has no templates"),
        ("minimal_pairs", {"source": {}}, "source: .*give one of hub, repository, none"),
    ],
)
def test_parts_that_do_not_fit_the_kind_are_refused(tmp_path: Path, kind: str, changes: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_task(tmp_path, kind, b"", **changes)
    assert KINDS[kind]["metric"] in json.dumps(KINDS)


def test_the_guide_lists_every_task_with_its_items_and_baselines() -> None:
    rows = {line.split("`")[1]: line for line in GUIDE.read_text().splitlines() if line.startswith("| `")}
    assert set(rows) == {*task_names(), *fetched_names()}
    for name in task_names():
        task, found = carried(name)
        assert f"| {len(found):,} | {task.written} | {task.license} |" in rows[name]
        assert all(f"{value:.3f}" in rows[name] for value in task.baselines.stated.values())
