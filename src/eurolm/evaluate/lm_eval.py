"""lm-evaluation-harness as the scorer: it runs exported tasks in a process of its own, its answers come back per item.

A process of its own because it must be told to stay offline before it is imported, seeds every global generator, sets
up logging, and keeps a cache of data sets, which goes to a temporary directory. Only the given folder of tasks is
indexed: its own tasks would be fetched from the network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import read_json, write_json
from eurolm.errors import MachineError

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "LOGLEVEL": "WARNING",
}


@dataclass(frozen=True)
class HarnessJob:
    """What the harness is asked to run; the fields its process reads from a file."""

    model: str
    """Hugging Face directory."""
    tasks_dir: str
    """Folder with the task files, as `eurolm tasks export` writes them."""
    tasks: tuple[str, ...]
    dtype: str
    """`float32` or `bfloat16`."""
    device: str
    """`cpu`, `cuda` or `cuda:N`."""
    batch_size: int
    """Requests per forward pass."""
    texts: tuple[str, ...] = ()
    """Those of `tasks` that score whole texts: their bits per byte."""
    limit: int | None = None
    """First items of each task; null for all."""


@dataclass(frozen=True)
class HarnessItem:
    """One item as the harness answered it."""

    document: dict[str, Any]
    """The record of the exported file."""
    log_probabilities: tuple[float | None, ...]
    """Natural logarithm for each choice, or of the whole text; null where it is not finite; empty for generation."""
    greedy: tuple[bool, ...]
    text: str | None
    """What the model wrote; null where choices are scored."""
    metrics: dict[str, float]
    """What the harness makes of it: `acc`, `acc_norm`, …"""


@dataclass(frozen=True)
class HarnessTask:
    """One task: the harness's own figures, and its answers in the order of the file."""

    metrics: dict[str, float | None]
    """Mean and standard error by the harness's names; null where it says "N/A"."""
    items: tuple[HarnessItem, ...]


def run_harness(job: HarnessJob) -> dict[str, HarnessTask]:
    """Run the tasks to their end, offline; the results by task name.

    Raises MachineError where lm-evaluation-harness is not installed, or with its last words where it fails.
    """
    if find_spec("lm_eval") is None:
        raise MachineError("--backend lm-eval needs lm-evaluation-harness: pip install 'eurolm[lm-eval]'.")
    with tempfile.TemporaryDirectory(prefix="eurolm-lm-eval-") as name:
        place = Path(name)
        write_json(place / "job.json", asdict(job))
        done = subprocess.run(
            [sys.executable, "-m", "eurolm.evaluate.lm_eval_process", place / "job.json", place / "answers.json"],
            # The data files are named relative to the task files.
            cwd=job.tasks_dir,
            env={**os.environ, **OFFLINE, "HF_DATASETS_CACHE": str(place / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise MachineError(f"lm-evaluation-harness ended with {done.returncode}: {_last_words(done.stdout)}")
        answers = read_json(place / "answers.json")
    return {task: _task(value) for task, value in answers.items()}


def _task(value: dict[str, Any]) -> HarnessTask:
    items = (
        HarnessItem(
            item["document"], tuple(item["log_probabilities"]), tuple(item["greedy"]), item["text"], item["metrics"]
        )
        for item in value["items"]
    )
    return HarnessTask(value["metrics"], tuple(items))


def _last_words(output: str) -> str:
    lines = [line for line in output.strip().splitlines() if line.strip()]
    return "\n".join(lines[-5:])
