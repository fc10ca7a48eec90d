"""`eurolm evaluate` on any model: killed and restarted, contaminated items, several tasks, comparison, refusals."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import torch
from click.testing import CliRunner
from pydantic import TypeAdapter

from eurolm.cli.main import cli
from eurolm.errors import ConfigError, InputError
from eurolm.evaluate.compare import compare, read_result
from eurolm.evaluate.results import Results, read_results, scores_sha256
from eurolm.evaluate.suites import chosen, identity, load_suite, suite_names
from eurolm.model.load import load_model
from eurolm.tasks.items import items
from eurolm.tasks.load import load_task

SUITE = """
name: small
about: A few tasks of different kinds.
tasks:
  scala-lv: {limit: 60}
  mmlu-lv: {limit: 30, shots: 1}
  sib200-et: {limit: 30, templates: first}
  inflection-et: {limit: 12, templates: first}
  flores-lv: {limit: 30}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("any")
    (found / "small.yaml").write_text(SUITE)
    return found


def evaluate(place: Path, model: Path, out: str, *more: str) -> str:
    arguments = [
        "evaluate",
        str(model),
        "--suite",
        str(place / "small.yaml"),
        "--out",
        str(place / out),
        "--quiet",
        *more,
    ]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def first(place: Path, model_dir: Path) -> Path:
    evaluate(place, model_dir, "first")
    return place / "first"


@pytest.fixture(scope="module")
def other_model(place: Path, model_dir: Path) -> Path:
    """The same weights with a little noise."""
    shutil.copytree(model_dir, place / "other-model")
    model, generator = load_model(model_dir), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * weight.std() * torch.randn(weight.shape, generator=generator) if weight.dim() > 1 else 0
    model.save_pretrained(place / "other-model")
    return place / "other-model"


def test_every_kind_is_scored_and_said(first: Path) -> None:
    results = TypeAdapter(Results).validate_python(read_results(first))
    assert results.bits_per_byte == {} and results.step is None
    assert {name: task.headline for name, task in results.tasks.items()} == {
        "scala-lv": "accuracy_equal_bytes", "mmlu-lv": "accuracy", "sib200-et": "accuracy",
        "inflection-et": "exact_match", "flores-lv": "bits_per_byte",
    }  # fmt: skip
    mmlu = results.tasks["mmlu-lv"]
    assert mmlu.shots == 1 and mmlu.calibration is not None and mmlu.groups
    assert mmlu.spread is not None and set(mmlu.spread.values) == set(load_task("mmlu-lv").templates)
    assert results.tasks["flores-lv"].scores["bits_per_byte"].better == "lower"
    assert results.macro["lv"].not_counted == ["flores-lv"]
    assert any("not known: there is no corpus" in note for note in results.notes)
    lines = [json.loads(line) for line in (first / "items-inflection-et.jsonl").read_text().splitlines()]
    assert len(lines) == 12 and all(isinstance(line["written"], str) for line in lines)


def test_killed_and_restarted_gives_the_same_scores(place: Path, first: Path, model_dir: Path) -> None:
    out, units = place / "killed", place / "killed" / "units"
    suite = str(place / "small.yaml")
    command = [sys.executable, "-m", "eurolm", "evaluate", str(model_dir), "--suite", suite, "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(units.glob("task-*.json"))) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "results.json").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in units.glob("*.json")}
    evaluate(place, model_dir, "killed")
    after = {path.name: path.stat().st_mtime_ns for path in units.glob("*.json")}
    assert len(kept) >= 2 and {name: after[name] for name in kept} == kept
    manifests = [json.loads((each / "manifest.json").read_text()) for each in (first, out)]
    assert manifests[0]["scores_sha256"] == manifests[1]["scores_sha256"] == scores_sha256(read_results(out))
    assert (out / "results.json").read_bytes() == (first / "results.json").read_bytes()
    for name in ("items-scala-lv.jsonl", "items-mmlu-lv.jsonl"):
        assert (out / name).read_bytes() == (first / name).read_bytes()


@pytest.mark.long
def test_two_ranks_give_the_bytes_of_one(place: Path, first: Path, model_dir: Path) -> None:
    suite, out = str(place / "small.yaml"), place / "two-ranks"
    command = [sys.executable, "-m", "eurolm", "evaluate", str(model_dir), "--suite", suite, "--out", str(out)]
    done = subprocess.run([*command, "--ranks", "2", "--quiet"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for path in (*first.glob("items-*.jsonl"), first / "results.json"):
        assert (out / path.name).read_bytes() == path.read_bytes()
    assert json.loads((out / "manifest.json").read_text())["ranks"] == 2


def test_scores_come_with_and_without_items_of_the_training_text(place: Path, first: Path, model_dir: Path) -> None:
    found = [json.loads(line) for line in (first / "items-scala-lv.jsonl").read_text().splitlines()]
    hits = [line["id"] for line in found[::3]]
    columns = {"task": ["scala-lv"] * len(hits), "item": hits}
    pl.DataFrame(columns).write_parquet(place / "hits.parquet")
    shutil.copytree(first, place / "hit")
    evaluate(place, model_dir, "hit", "--hits", str(place / "hits.parquet"))
    task = TypeAdapter(Results).validate_python(read_results(place / "hit")).tasks["scala-lv"]
    equal = [line for line in found if line["bytes"][0] == line["bytes"][1]]
    for figure, wanted in (
        (
            task.contamination.without if task.contamination else None,
            [line for line in equal if line["id"] not in hits],
        ),
        (task.contamination.only if task.contamination else None, [line for line in equal if line["id"] in hits]),
    ):
        assert figure is not None and figure.items == len(wanted) > 0
        points = [line["rows"]["accuracy_equal_bytes"][0] for line in wanted]
        assert figure.value == pytest.approx(sum(points) / len(wanted))
    assert task.contamination is not None and task.contamination.hits == len(hits)
    again = [json.loads(line) for line in (place / "hit" / "items-scala-lv.jsonl").read_text().splitlines()]
    assert [line["hit"] for line in again] == [line["id"] in hits for line in again]
    with pytest.raises(InputError, match="no list of hits"):
        CliRunner().invoke(cli, ["evaluate", str(model_dir), "--suite", str(place / "small.yaml"), "--out",
                                 str(place / "x"), "--hits", str(place / "small.yaml")],
                           catch_exceptions=False)  # fmt: skip


def test_a_task_is_asked_over_a_users_own_items(place: Path, model_dir: Path) -> None:
    """Of the same shape, by another name; those that no corpus stage looked for are not said to be clean."""
    carried = [item.record for item in items(load_task("scala-lv"))[:24]]
    records = [record | ({"id": f"mine/{number}"} if number % 2 else {}) for number, record in enumerate(carried)]
    mine = place / "mine.jsonl"
    mine.write_text("".join(json.dumps(record) + "\n" for record in records))
    pl.DataFrame({"task": ["scala-lv"], "item": [records[0]["id"]]}).write_parquet(place / "one.parquet")
    evaluate(place, model_dir, "mine", "--items", f"scala-lv={mine}", "--hits", str(place / "one.parquet"))
    task = TypeAdapter(Results).validate_python(read_results(place / "mine")).tasks["scala-lv"]
    assert (task.items_file, task.counts.items) == ("mine.jsonl", 24)
    assert task.contamination is not None and (task.contamination.hits, task.contamination.unchecked) == (1, 12)
    mine.write_text("".join(json.dumps(record) + "\n" for record in records[1::2]))
    evaluate(place, model_dir, "mine", "--items", f"scala-lv={mine}", "--hits", str(place / "one.parquet"))
    value = read_results(place / "mine")
    assert value["tasks"]["scala-lv"]["contamination"] is None
    assert any("Contamination of scala-lv" in note or "Contamination of all tasks" in note for note in value["notes"])
    for given, said in (
        ("scala-vl=x", "none of the tasks asked"),
        ("x", "whose items"),
        ("scala-lv=x", "does not exist"),
    ):
        with pytest.raises((ConfigError, InputError), match=said):
            evaluate(place, model_dir, "none", "--items", given)


def test_single_tasks_are_asked_as_their_suite_asks_them(place: Path, model_dir: Path) -> None:
    command = ["evaluate", str(model_dir), "--suite", str(place / "small.yaml"), "--workspace", str(place), "--quiet"]
    command += ["--task", "mmlu-lv", "--task", "sib200-et", "--limit", "2"]
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    out = place / "evaluation" / f"{model_dir.name}-mmlu-lv-sib200-et-limit-2"
    assert done.output.strip() == str(out / "results.json")
    tasks = read_results(out)["tasks"]
    assert {name: (task["shots"], len(task["spread"]["values"])) for name, task in tasks.items()} == {
        "mmlu-lv": (1, len(load_task("mmlu-lv").templates)), "sib200-et": (0, 1)
    }  # fmt: skip


def test_comparison_tells_real_differences_from_chance(place: Path, first: Path, other_model: Path) -> None:
    evaluate(place, other_model, "other")
    found = compare([read_result("a", first), read_result("b", place / "other")], 500)
    rows = {row.subject: row for row in found.rows}
    assert set(rows) >= {"scala-lv", "mmlu-lv", "sib200-et", "inflection-et", "flores-lv", "mean lv"}
    text = rows["flores-lv"]
    assert text.difference == pytest.approx(text.other_value - text.first_value)
    assert text.low is not None and text.high is not None and text.low < text.difference < text.high
    assert text.real is (text.corrected is not None and text.corrected < 0.05)
    assert all(row.corrected is None or row.p_value is None or row.corrected >= row.p_value for row in found.rows)
    own = [json.loads(line)["rows"]["accuracy"][0] for line in (first / "items-mmlu-lv.jsonl").read_text().splitlines()]
    assert rows["mmlu-lv"].first_value == pytest.approx(sum(own) / len(own))
    same = compare([read_result("a", first), read_result("a again", place / "killed")], 500)
    assert all(row.difference == 0 and row.real in (False, None) for row in same.rows)
    plot = place / "forest.svg"
    done = CliRunner().invoke(cli, ["compare", f"a={first}", f"b={place / 'other'}", "--plot", str(plot)])
    assert done.exit_code == 0 and "items only; one training seed" in " ".join(done.output.split())
    assert plot.read_text().startswith("<svg ") and "var(" not in plot.read_text()
    with pytest.raises(InputError, match="neither an evaluated run"):
        CliRunner().invoke(cli, ["compare", str(first), "nothing"], catch_exceptions=False)


def test_a_replay_on_the_same_device_changes_no_answer(place: Path, first: Path, model_dir: Path) -> None:
    evaluate(place, model_dir, "first", "--replay", "20%")
    value = json.loads((first / "replay.json").read_text())
    assert value["share"] == 0.2 and set(value["tasks"]) == set(read_results(first)["tasks"])
    assert value["tasks"]["scala-lv"]["items"] == 12
    assert all(task["not_finite"] == 0 for task in value["tasks"].values())
    with pytest.raises(ConfigError, match="give a share"):
        CliRunner().invoke(cli, ["evaluate", str(model_dir), "--suite", str(place / "small.yaml"), "--out", str(first),
                                 "--replay", "x"], catch_exceptions=False)  # fmt: skip


def test_suites_name_tasks_that_are_there() -> None:
    for name in suite_names():
        suite = load_suite(name)
        assert suite.name == name
        for task, choice in suite.tasks.items():
            assert (load_task(task).items is None) == (name == "baltic-hub")
            assert choice.shots == 0 or load_task(task).templates
    with pytest.raises(ConfigError, match="Did you mean baltic-base"):
        load_suite("baltic-bas")


def test_what_is_asked_has_an_identity(place: Path) -> None:
    from eurolm.config.evaluate import EvaluateConfig

    suite = str(place / "small.yaml")
    plain, limited = EvaluateConfig(suite=suite), EvaluateConfig(suite=suite, limit=5)
    assert chosen(limited)["mmlu-lv"].limit == 5 and chosen(plain)["mmlu-lv"].limit == 30
    assert len({identity(plain), identity(limited), identity(EvaluateConfig(tasks=["scala-lv"]))}) == 3
    assert identity(plain) == identity(EvaluateConfig(suite=suite))


def test_the_schema_is_printed() -> None:
    done = CliRunner().invoke(cli, ["evaluate", "--schema"])
    assert done.exit_code == 0 and "TaskScore" in json.loads(done.output)["$defs"]
