"""Bad input ends with exit 2 and a message, without a traceback and without anything overwritten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from tests.conftest import Workspace

GOOD = {"id": "1", "text": "Saeima šodien pieņēma likumu par valsts valodu, un tas stājas spēkā nākamajā gadā."}


def lines(*records: object) -> bytes:
    return b"".join(
        record if isinstance(record, bytes) else json.dumps(record, ensure_ascii=False).encode() + b"\n"
        for record in records
    )


def corpus_of(workspace: Workspace, name: str, data: bytes) -> None:
    (workspace.path / "lv" / name).write_bytes(data)
    text = (workspace.path / "small.yaml").read_text().replace("lv/*.jsonl", f"lv/{name}")
    (workspace.path / "small.yaml").write_text(text)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("train.rnaks=2", "Nearest: train.ranks"),
        ("train.ranks=two", "should be a valid integer"),
        ("corpus.sources.0.paths=[none/*.jsonl]", "none/*.jsonl"),
        ("corpus.languages.lv.min_words=100000", ""),
        ("tokenizer.use=nowhere", "nowhere"),
        ("mixture.phases.0.weights={lv_txet: 1}", "lv_text"),
        ("model.attention_heads=3", "attention_heads"),
        ("evaluate.tasks=[scala-lt]", "scala-lt"),
        ("mixture.phases.0.row_tokens=512", "model.max_position_tokens"),
        ("mixture.phases.0.batch_rows=7", "Nearest: 6 or 8"),
    ],
)
def test_config_that_cannot_work(small_workspace: Workspace, change: str, expected: str) -> None:
    changes = [change, "corpus.languages.et.min_words=100000"] if "min_words" in change else [change]
    output = small_workspace.run("run", "small.yaml", *changes, expect=2)
    assert expected in output
    assert not (small_workspace.path / "runs" / "small" / "model").exists()


def test_truncated_zst(small_workspace: Workspace) -> None:
    whole = zstandard.ZstdCompressor().compress(lines(*[GOOD | {"id": str(index)} for index in range(500)]))
    corpus_of(small_workspace, "cut.jsonl.zst", whole[:-20])
    output = small_workspace.run("run", "small.yaml", "--until", "corpus", expect=2)
    assert "cut.jsonl.zst" in output
    assert not small_workspace.contents("corpus")


@pytest.mark.parametrize("bad", [b'{"id": "x", "text": "\xff\xfe"}\n', b'{"id": "x", "text": \n'])
def test_invalid_lines_are_counted_and_too_many_stop(small_workspace: Workspace, bad: bytes) -> None:
    corpus_of(small_workspace, "bad.jsonl", lines(*[GOOD | {"id": str(index)} for index in range(200)], bad, bad))
    output = small_workspace.run("run", "small.yaml", "--until", "corpus", expect=2)
    assert "bad.jsonl" in output and "max_invalid_share" in output
    small_workspace.run("run", "small.yaml", "--until", "corpus", "corpus.max_invalid_share=0.05")
    report = json.loads((small_workspace.path / "runs" / "small" / "corpus" / "report.json").read_text())
    assert report["sources"]["lv_text"]["invalid"] == 2


def test_run_of_a_newer_schema(small_workspace: Workspace) -> None:
    run = small_workspace.path / "runs" / "small"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"schema": 999, "name": "small"}')
    output = small_workspace.run("run", "small.yaml", expect=2)
    assert "schema 999" in output
    assert (run / "run.json").read_text() == '{"schema": 999, "name": "small"}'


def test_two_processes_on_one_stage(small_workspace: Workspace) -> None:
    first = small_workspace.start("run", "small.yaml", "--until", "corpus")
    store = small_workspace.path / "store"
    while first.poll() is None and not list(store.glob("corpus/*.lease")):
        pass
    output = small_workspace.run("run", "small.yaml", "--until", "corpus", expect=2)
    assert f"process {first.pid}" in output
    first.communicate()
    assert first.returncode == 0


@pytest.mark.parametrize("option", ["size=64k", "size=16m,ro"])
def test_full_or_read_only_disk_exits_14(small_workspace: Workspace, option: str, tmp_path: Path) -> None:
    # A private mount namespace: works as root and, with user namespaces, without.
    place = tmp_path / "disk"
    place.mkdir()
    script = f'mount -t tmpfs -o {option} tmpfs "$1" && shift && exec "$@"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", str(place)]
    answer = subprocess.run(
        [*command, sys.executable, "-m", "eurolm", "run", "small.yaml", "--until", "corpus", f"run.workspace={place}"],
        cwd=small_workspace.path,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 14, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    assert "run.workspace" in answer.stderr
