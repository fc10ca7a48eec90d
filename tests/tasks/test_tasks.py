"""Tasks: what is carried is whole and says where it comes from; damaged tasks are refused with file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zstandard

from eurolm.config.shipped import package_file
from eurolm.errors import ConfigError, InputError
from eurolm.tasks.items import Item, items
from eurolm.tasks.load import Task, load_task, read_task, task_names

DESCRIPTION = """
name: mine
kind: minimal_pairs
language: lv
items: {items}
fields: {{id: id, good: good, bad: bad, cluster: doc}}
written: native
made_by: by hand
license: CC0-1.0
origins: [{{source: "https://example.org", commit: abc, license: CC0-1.0}}]
citations: ["nobody"]
baselines: {{uniform: 0.5, shortest: 0.5}}
reviewed_by: null
"""
GOOD_LINE = {"id": "1", "doc": "d", "good": "labs teikums", "bad": "slikts teikums"}


def make_task(directory: Path, content: bytes, name: str = "mine.jsonl") -> Task:
    (directory / name).write_bytes(content)
    (directory / "mine.yaml").write_text(DESCRIPTION.format(items=name))
    return read_task(directory / "mine.yaml")


def lines(*records: object) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def test_two_tasks_are_carried() -> None:
    assert task_names() == ["inflection-swap-et", "scala-lv"]


@pytest.mark.parametrize(("name", "count", "equal"), [("scala-lv", 1470, 662), ("inflection-swap-et", 2131, 236)])
def test_carried_items_are_those_the_origins_table_states(name: str, count: int, equal: int) -> None:
    task = load_task(name)
    found = items(task)
    assert len(found) == count
    assert sum(len(item.good.encode()) == len(item.bad.encode()) for item in found) == equal
    text = package_file("tasks/items/ORIGINS.md").read_text()
    row = next(line for line in text.splitlines() if f"`{name}.jsonl.zst`" in line)
    assert f"| {count:,} | {len({item.cluster for item in found})} | {equal} |" in row
    assert all(origin.commit in row and origin.license in row for origin in task.origins)
    assert task.license in row


@pytest.mark.parametrize("name", ["scala-lv", "inflection-swap-et"])
def test_stated_shortest_baseline_is_the_computed_one(name: str) -> None:
    task = load_task(name)
    found = items(task)
    sizes = [(len(item.good.encode()), len(item.bad.encode())) for item in found]
    points = [1.0 if good < bad else 0.5 if good == bad else 0.0 for good, bad in sizes]
    assert sum(points) / len(points) == pytest.approx(task.baselines.shortest, abs=5e-4)
    assert task.baselines.uniform == 0.5


def test_items_are_the_shared_ones() -> None:
    shared = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "eval"
    if not shared.is_dir():
        pytest.skip("the shared data is not beside this checkout")
    for name, path in (("scala-lv", "lv/scala.jsonl"), ("inflection-swap-et", "et/inflection_swap.jsonl")):
        records = [json.loads(line) for line in (shared / path).read_text().splitlines()]
        assert items(load_task(name)) == [
            Item(record["id"], record["good"], record["bad"], record["doc"]) for record in records
        ]


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'scala-vl' is not a task. Did you mean scala-lv\?"):
        load_task("scala-vl")


def test_own_items_are_read_plain_and_compressed(tmp_path: Path) -> None:
    content = lines(GOOD_LINE, {**GOOD_LINE, "id": "2", "doc": None})
    plain = items(make_task(tmp_path, content))
    assert plain == [Item("1", "labs teikums", "slikts teikums", "d"), Item("2", "labs teikums", "slikts teikums", "2")]
    assert items(make_task(tmp_path, zstandard.compress(content), "mine.jsonl.zst")) == plain


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([{**GOOD_LINE, "good": ""}], "mine.jsonl:1: field 'good' .* non-empty string, not ''"),
        ([{"id": "1", "good": "a"}], "mine.jsonl:1: field 'bad' .* not None"),
        ([{**GOOD_LINE, "id": 7}], "mine.jsonl:1: field 'id' .* not 7"),
        ([GOOD_LINE, GOOD_LINE], "mine.jsonl:2: id '1' was used in line 1 already"),
        ([{**GOOD_LINE, "bad": GOOD_LINE["good"]}], "both sides of the pair are the same"),
        (["text"], "mine.jsonl:1: a JSON object is wanted, not str"),
        ([], "is empty"),
    ],
)
def test_damaged_items_are_refused(tmp_path: Path, records: list[object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        items(make_task(tmp_path, lines(*records)))


def test_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.jsonl:1: not JSON"):
        items(make_task(tmp_path, b"{half"))
    with pytest.raises(InputError, match="is damaged"):
        items(make_task(tmp_path, b'{"id": "\xff"}\n'))
    whole = zstandard.compress(lines(*({**GOOD_LINE, "id": str(number)} for number in range(500))))
    with pytest.raises(InputError, match="is damaged: the compressed file is cut short"):
        items(make_task(tmp_path, whole[: len(whole) // 2], "mine.jsonl.zst"))
    with pytest.raises(InputError, match="is damaged"):
        items(make_task(tmp_path, b"not zstd at all", "mine.jsonl.zst"))
    task = make_task(tmp_path, b"")
    (tmp_path / "mine.jsonl").unlink()
    with pytest.raises(InputError, match="does not exist"):
        items(task)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("license: CC0-1.0\norigins", "origins"), "mine.yaml: license: Field required"),
        (("written: native", "written: dreamt"), "mine.yaml: written: Input should be 'native'"),
        (("made_by:", "made_bye:"), "made_bye: Extra inputs are not permitted"),
        (("name: mine", "name: yours"), "name = 'yours' differs from the file's name"),
        (("kind:", "kind: ["), "is not a YAML mapping"),
    ],
)
def test_mistakes_in_a_description_name_the_field(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    text = DESCRIPTION.format(items="mine.jsonl").replace(*change)
    assert text != DESCRIPTION.format(items="mine.jsonl")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_task(tmp_path / "mine.yaml")
