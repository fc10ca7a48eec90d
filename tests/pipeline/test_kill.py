"""`kill -9` of the whole process group at aimed moments of every stage, then the same command: the same bytes.

Moments are aimed by what a stage has left on disk (wall-clock kills mostly hit imports), plus a seeded delay.
"""

from __future__ import annotations

import glob
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Workspace, text_from

DATA_STAGES = ("corpus", "tokenizer", "tokens", "packs")


def found(directory: Path, pattern: str) -> list[str]:
    """Paths that match now. Not `Path.glob`, which raises when a directory is renamed while it looks."""
    return glob.glob(str(directory / pattern))  # noqa: PTH207


def seen(directory: Path, pattern: str, delay_s: float) -> Callable[[], bool]:
    """True `delay_s` after something new matching `pattern` first shows below `directory`."""
    before = set(found(directory, pattern))
    first: list[float] = []

    def moment() -> bool:
        if not first and any(path not in before for path in found(directory, pattern)):
            first.append(time.monotonic())
        return bool(first) and time.monotonic() - first[0] >= delay_s

    return moment


@pytest.mark.parametrize("seed", [1, 2])
def test_data_stages_survive_kills_with_the_same_bytes(
    small_workspace: Workspace, finished_workspace: Workspace, seed: int
) -> None:
    rng = random.Random(seed)
    text_from(finished_workspace, small_workspace.path)
    kills = dict.fromkeys(DATA_STAGES, 0)
    for stage in DATA_STAGES:
        moment = seen(small_workspace.path / "store", f"{stage}/*.partial-*", rng.uniform(0.0, 0.05))
        kills[stage] += small_workspace.run_and_kill(moment, "run", "small.yaml", "--until", "tokens")
        deeper = seen(small_workspace.path / "store", f"{stage}/*.partial-*/*", rng.uniform(0.0, 0.1))
        kills[stage] += small_workspace.run_and_kill(deeper, "run", "small.yaml", "--until", "tokens")
    small_workspace.run("run", "small.yaml", "--until", "tokens")
    # The packs of so little text are made in milliseconds; a kill there is welcome but cannot be aimed.
    assert all(kills[stage] for stage in ("corpus", "tokenizer", "tokens")), kills
    for stage in DATA_STAGES:
        assert small_workspace.contents(stage) == finished_workspace.contents(stage), (stage, kills)


def test_training_survives_kills_in_step_save_and_copy(
    small_workspace: Workspace, finished_workspace: Workspace
) -> None:
    text_from(finished_workspace, small_workspace.path)
    run = small_workspace.path / "runs" / "small"

    def steps() -> int:
        metrics = run / "metrics.jsonl"
        return metrics.read_text().count('"step"') if metrics.is_file() else 0

    moments = [
        lambda: steps() >= 12,  # in a step
        seen(run, "checkpoints/*.partial-*", 0.0),  # in the copy
        seen(run, "checkpoints/step-*", 0.01),  # after a commit
    ]
    killed = [small_workspace.run_and_kill(moment, "run", "small.yaml", "--until", "train") for moment in moments]
    small_workspace.run("run", "small.yaml", "--until", "train")
    assert killed[0], "no kill hit"
    assert small_workspace.losses() == finished_workspace.losses()
