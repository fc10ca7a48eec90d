"""Shared by all tests: the embedded sample, a run small enough for a test, and `eurolm` as a user starts it."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard

SAMPLE = Path(__file__).resolve().parents[1] / "src" / "eurolm" / "corpus" / "sample"

SMALL_RUN = """
name: small
extends: [languages/lv.yaml, languages/et.yaml]
corpus:
  heldout: {share: 0.1}
  sources:
    - {name: lv_text, paths: [lv/*.jsonl], language: lv}
    - {name: et_text, paths: [et/*.jsonl], language: et}
tokenizer: {vocab_size: 1024, spare_tokens: 4}
mixture:
  phases:
    - {tokens: 20_480, row_tokens: 64, batch_rows: 8, max_epochs: 8}
model: {hidden_size: 64, layers: 2, attention_heads: 2, key_value_heads: 1, intermediate_size: 128,
        max_position_tokens: 256}
train:
  ranks: 2
  threads_per_rank: 1
  validate_every_steps: 20
  validate_max_bytes: 4000
  save_every_minutes: 0.02
  prompts: ["Rīgā", "Tallinnas"]
  prompt_tokens: 8
  optimizer: {learning_rate: 3.0e-3}
evaluate: {tasks: [scala-lv, inflection-swap-et], heldout_max_bytes: 8000, ngram_max_bytes: 300_000}
"""


# Folders whose tests share what is dear to make: a cluster, a finished run, preloaded ranks. The longest first.
TOGETHER = ("slurm", "pipeline", "train", "evaluate", "scoring", "tokens", "mixture", "report")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: with several processes it would else be waited for at the end."""
    rank = {folder: place for place, folder in enumerate(TOGETHER)}
    items.sort(key=lambda item: rank.get(item.nodeid.split("/")[1], len(TOGETHER)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes, a folder of TOGETHER stays in one of them, and so does every other file."""
    from xdist.scheduler import LoadScopeScheduling

    # Not by xdist's groups: 3.8 writes them where pytest 9.2 no longer looks.
    class ByFolder(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder = nodeid.split("/")[1]
            return folder if folder in TOGETHER else nodeid.split("::")[0]

    return ByFolder(config, log)


def sample_documents(language: str, count: int) -> list[dict[str, Any]]:
    """The first `count` documents of the embedded sample, spread over its files."""
    files = sorted(SAMPLE.glob(f"{language}_*.jsonl.zst"))
    documents: list[dict[str, Any]] = []
    for path in files:
        with path.open("rb") as raw:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")
            kept = (json.loads(line) for line in lines)
            documents += [document for document, _ in zip(kept, range(count // len(files) + 1), strict=False)]
    return documents


@dataclass
class Workspace:
    """A directory with a config, text and whatever runs leave there; `eurolm` runs in it as its own process group."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "eurolm", *arguments],
            cwd=self.path,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, expect: int = 0) -> str:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=280)
        assert process.returncode == expect, output
        assert expect == 0 or "Traceback" not in output, output
        return output

    def run_and_kill(self, moment: Callable[[], bool], *arguments: str) -> bool:
        """Start, and SIGKILL the whole process group at `moment`. False when it finished before."""
        process = self.start(*arguments)
        while process.poll() is None:
            if moment():
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return True
        process.communicate()
        return False

    def contents(self, stage: str) -> list[str]:
        """Content hashes of all finished artifacts of a stage."""
        return sorted(
            json.loads(path.read_text())["content"] for path in self.path.glob(f"store/{stage}/*/manifest.json")
        )

    def metrics(self, name: str = "small") -> list[dict[str, Any]]:
        lines = (self.path / "runs" / name / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def losses(self, name: str = "small") -> list[tuple[int, str]]:
        return [(line["step"], line["loss_hex"]) for line in self.metrics(name) if line["event"] == "step"]


def fill(path: Path, documents_per_language: int = 250, files: int = 4) -> Workspace:
    """A workspace with real text in several files of unequal size and the small run's config."""
    for language in ("lv", "et"):
        documents = sample_documents(language, documents_per_language)
        (path / language).mkdir(parents=True)
        start = 0
        for index in range(files):
            size = len(documents) * (index + 1) // (files * (files + 1) // 2)
            chunk = documents[start : start + size] if index < files - 1 else documents[start:]
            start += size
            text = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in chunk)
            (path / language / f"part{index}.jsonl").write_text(text)
    (path / "small.yaml").write_text(SMALL_RUN)
    return Workspace(path)


@pytest.fixture
def small_workspace(tmp_path: Path) -> Workspace:
    return fill(tmp_path / "work")


@pytest.fixture(scope="session")
def finished_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The small run, finished undisturbed. Tests read it and must not change it; copy it to change it."""
    workspace = fill(tmp_path_factory.mktemp("finished") / "work")
    workspace.run("run", "small.yaml")
    return workspace


@pytest.fixture
def copy_of_finished(finished_workspace: Workspace, tmp_path: Path) -> Workspace:
    """The finished run in another place, still on the text of the original: fingerprints hold input paths."""
    target = tmp_path / "copy"
    shutil.copytree(finished_workspace.path, target, symlinks=True)
    text_from(finished_workspace, target)
    return Workspace(target)


def text_from(workspace: Workspace, target: Path) -> None:
    """Write a `small.yaml` into `target` that reads the text of another workspace, by absolute paths."""
    config = (workspace.path / "small.yaml").read_text()
    for language in ("lv", "et"):
        config = config.replace(f"paths: [{language}/", f"paths: [{workspace.path / language}/")
    (target / "small.yaml").write_text(config)
