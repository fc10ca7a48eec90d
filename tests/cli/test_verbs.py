"""The command line itself: help, init, explain, schema, errors as text and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Workspace, sample_documents


def eurolm(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eurolm", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)


def test_help_lists_every_verb_and_the_exit_codes(tmp_path: Path) -> None:
    text = eurolm(tmp_path, "--help").stdout
    for word in ("init", "run", "generate", "inspect", "config", "10 stopped in good order"):
        assert word in text


def test_init_writes_a_config_that_runs(tmp_path: Path) -> None:
    for language in ("lv", "et"):
        (tmp_path / "text" / language).mkdir(parents=True)
        lines = (json.dumps(document, ensure_ascii=False) for document in sample_documents(language, 300))
        (tmp_path / "text" / language / "news.jsonl").write_text("\n".join(lines))
    assert eurolm(tmp_path, "init", "mine", "--text", "text", "--languages", "lv,et").returncode == 0
    again = eurolm(tmp_path, "init", "mine", "--text", "text", "--languages", "lv,et")
    assert again.returncode == 2 and "mine.yaml exists" in again.stderr
    Workspace(tmp_path).run("run", "mine.yaml", "--until", "tokens", "--sample", "90%")
    report = json.loads((tmp_path / "runs" / "mine" / "corpus" / "report.json").read_text())
    assert set(report["sources"]) == {"lv_news", "et_news"}
    assert 0 < report["totals"]["outside_sample"] < report["totals"]["read"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["init", "../x", "--text", ".", "--languages", "lv"], "cannot name a run"),
        (["init", "x", "--text", ".", "--languages", "tlh"], "tlh"),
        (["init", "x", "--text", "nowhere", "--languages", "lv"], "not a directory"),
        (["init", "x", "--text", ".", "--languages", "lv"], "holds no"),
        (["run", "none.yaml"], "does not exist"),
        (["run", "none.yaml", "--sample", "200%"], "--sample 200%"),
        (["run", "none.yaml", "--only", "corpus", "--until", "train"], "--only names one stage"),
        (["inspect", "nothing"], "does not exist"),
        (["generate", "nothing", "--prompt", "x"], "neither a finished run"),
        (["fly"], "No such command"),
    ],
)
def test_mistakes_exit_2_with_one_message(tmp_path: Path, arguments: list[str], expected: str) -> None:
    answer = eurolm(tmp_path, *arguments)
    assert answer.returncode == 2
    assert expected in answer.stderr and "Traceback" not in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_errors_as_json(tmp_path: Path) -> None:
    answer = eurolm(tmp_path, "run", "none.yaml", "--json")
    assert json.loads(answer.stderr) == {
        "level": "error",
        "message": "config file none.yaml does not exist.",
        "exit_code": 2,
    }


def test_explain_and_schema(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: a\nextends: [quickstart-sizes.yaml]\ntrain:\n  ranks: 4\n")
    lines = eurolm(tmp_path, "config", "explain", "a.yaml", "model.layers=3", "--json").stdout.splitlines()
    rows = {row["key"]: row for row in map(json.loads, lines)}
    assert rows["train.ranks"] == {"key": "train.ranks", "value": 4, "origin": "a.yaml:4"}
    assert rows["model.layers"]["origin"] == "override"
    assert rows["train.compile"]["origin"] == "default"
    assert rows["train.steps"]["origin"] == "derived" and rows["train.steps"]["value"] > 100
    schema = json.loads(eurolm(tmp_path, "config", "schema").stdout)
    assert "Checkpoints" in json.dumps(schema) or "checkpoints" in json.dumps(schema)
    assert schema["properties"]["train"]["description"] == "Training."
