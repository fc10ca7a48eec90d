"""kill -9 of the whole process group at aimed moments, then the same command: the same losses, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.train.conftest import OPTIMIZERS, ROWS, STEPS, Data, losses, validations
from tests.train.driver import Attempt, start_attempt

from eurolm.train import staging
from eurolm.train.metrics import read_lines

SAVE_OFTEN = 1e-6


def steps_done(run_dir: Path) -> int:
    path = run_dir / "metrics.jsonl"
    return path.read_bytes().count(b'"event": "step"') if path.exists() else 0


def in_a_step(run_dir: Path) -> bool:
    return steps_done(run_dir) >= 17


def in_a_save(run_dir: Path) -> bool:
    """A staging directory exists and no order has been given for it yet, or only just."""
    return steps_done(run_dir) >= 9 and any(staging.memory_home(run_dir).glob("step-*"))


def in_the_copy(run_dir: Path) -> bool:
    return steps_done(run_dir) >= 9 and any((run_dir / "checkpoints").glob("*.partial-*/tensors/*"))


def before_the_commit(run_dir: Path) -> bool:
    return steps_done(run_dir) >= 9 and any((run_dir / "checkpoints").glob("*.partial-*/part-0.json"))


def after_a_commit(run_dir: Path) -> bool:
    return sum(1 for path in (run_dir / "checkpoints").glob("step-*") if path.name[-8:].isdigit()) >= 2


def in_the_export(run_dir: Path) -> bool:
    return any(run_dir.glob("model.partial-*"))


MOMENTS = [in_a_step, in_a_save, in_the_copy, before_the_commit, after_a_commit, in_the_export]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
def test_killed_and_resumed_equals_undisturbed(
    moment: Callable[[Path], bool], context: Any, data: Data, run_dir: Path, undisturbed: Path
) -> None:
    inputs = data.inputs(run_dir, save_every_minutes=SAVE_OFTEN)
    assert start_attempt(context, inputs).kill_when(lambda: moment(run_dir))
    at = steps_done(run_dir)
    assert not (run_dir / "model").exists()
    said = start_attempt(context, inputs).wait()
    assert said["worked"], said
    resumed = [line["step"] for line in read_lines(run_dir / "metrics.jsonl", "resume")]
    print(f"{moment.__name__}: killed after step {at}, resumed from {resumed}")
    assert losses(run_dir) == losses(undisturbed)
    assert [line["samples"] for line in read_lines(run_dir / "metrics.jsonl", "step")] == [
        ROWS * step for step in range(1, STEPS + 1)
    ]
    assert validations(run_dir) == validations(undisturbed)
    ours, theirs = (json.loads((place / "model" / "manifest.json").read_text()) for place in (run_dir, undisturbed))
    assert ours["content"] == theirs["content"]
    assert not staging.memory_home(run_dir).exists()
    assert not list(run_dir.rglob("*.partial-*"))


def test_muon_resumes_exactly(context: Any, data: Data, run_dir: Path) -> None:
    reference = run_dir.with_name("reference")
    assert start_attempt(context, data.inputs(reference, optimizer=OPTIMIZERS["muon"])).wait()["worked"]
    inputs = data.inputs(run_dir, save_every_minutes=SAVE_OFTEN, optimizer=OPTIMIZERS["muon"])
    assert start_attempt(context, inputs).kill_when(lambda: in_a_step(run_dir))
    assert start_attempt(context, inputs).wait()["worked"]
    assert [line["step"] for line in read_lines(run_dir / "metrics.jsonl", "resume")] > [0]
    assert losses(run_dir) == losses(reference)


def test_killed_twice_with_the_copier_held_in_the_middle(
    context: Any, data: Data, run_dir: Path, undisturbed: Path
) -> None:
    """The copier is stopped before it copied anything, so the kill finds a checkpoint that exists in memory only."""
    inputs = data.inputs(run_dir, save_every_minutes=SAVE_OFTEN)
    first = start_attempt(context, inputs)
    assert first.kill_when(lambda: after_a_commit(run_dir))
    committed = _committed(run_dir)
    second = start_attempt(context, inputs)
    os.kill(second.copier(), signal.SIGSTOP)
    assert second.kill_when(lambda: _staged(run_dir) and steps_done(run_dir) > committed + 2)
    assert _committed(run_dir) == committed
    assert start_attempt(context, inputs).wait()["worked"]
    resumed = [line["step"] for line in read_lines(run_dir / "metrics.jsonl", "resume")]
    assert resumed == [committed, committed]
    assert losses(run_dir) == losses(undisturbed)


def test_a_dying_rank_takes_the_others_with_it_and_is_named(context: Any, data: Data, run_dir: Path) -> None:
    attempt = start_attempt(context, data.inputs(run_dir))
    deadline = time.monotonic() + 60
    while not in_a_step(run_dir) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(_rank_pid(attempt, run_dir, 1), signal.SIGKILL)
    said = attempt.wait()
    assert (said["error"], said["exit_code"]) == ("MachineError", 14)
    assert "rank 1 was killed by signal 9" in said["message"]
    deadline = time.monotonic() + 5
    while attempt.members() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert attempt.members() == []


def _committed(run_dir: Path) -> int:
    names = [path.name for path in (run_dir / "checkpoints").glob("step-*") if path.name[-8:].isdigit()]
    return max(int(name[5:]) for name in names)


def _staged(run_dir: Path) -> bool:
    return len(list(staging.memory_home(run_dir).glob("*/*.safetensors"))) == 2


def _rank_pid(attempt: Attempt, run_dir: Path, rank: int) -> int:
    """Process of a rank, by the log file that it writes to."""
    for pid in attempt.members():
        if Path(f"/proc/{pid}/fd/1").resolve() == (run_dir / "logs" / "train-local-0" / f"rank-{rank}.log").resolve():
            return pid
    raise AssertionError(f"no rank {rank}")
