"""Stopping in good order, and everything that training refuses or survives."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.train.conftest import STEPS, Data, losses
from tests.train.driver import Attempt, start_attempt

from eurolm.console import Reporter
from eurolm.errors import ConfigError
from eurolm.train.launch import run_training
from eurolm.train.metrics import read_lines

QUIET = Reporter("quiet")


def wait_for_steps(run_dir: Path, steps: int) -> None:
    deadline = time.monotonic() + 60
    while len(losses(run_dir)) < steps and time.monotonic() < deadline:
        time.sleep(0.005)


def ask_by_file(_attempt: Attempt, run_dir: Path) -> None:
    (run_dir / "stop").touch()


def ask_by_signal_to_rank_1(attempt: Attempt, run_dir: Path) -> None:
    log = (run_dir / "logs" / "train-local-0" / "rank-1.log").resolve()
    (rank,) = [pid for pid in attempt.members() if Path(f"/proc/{pid}/fd/1").resolve() == log]
    os.kill(rank, signal.SIGUSR1)


def ask_by_signal_to_the_parent(attempt: Attempt, _run_dir: Path) -> None:
    os.kill(attempt.process.pid or 0, signal.SIGTERM)


@pytest.mark.parametrize("ask", [ask_by_file, ask_by_signal_to_rank_1, ask_by_signal_to_the_parent])
def test_a_stop_request_saves_one_step_on_all_ranks_and_resumes_exactly(
    ask: Callable[[Attempt, Path], None], context: Any, data: Data, run_dir: Path, undisturbed: Path
) -> None:
    attempt = start_attempt(context, data.inputs(run_dir))
    wait_for_steps(run_dir, 5)
    ask(attempt, run_dir)
    said = attempt.wait()
    assert (said["error"], said["exit_code"]) == ("StoppedError", 10)
    stopped_at = len(losses(run_dir))
    assert f"stopped at step {stopped_at}" in said["message"]
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == [f"step-{stopped_at:08d}"]
    assert not (run_dir / "stop").exists()
    assert start_attempt(context, data.inputs(run_dir)).wait()["worked"]
    assert losses(run_dir) == losses(undisturbed)


def test_losses_that_stay_non_finite_end_training_with_12(context: Any, data: Data, run_dir: Path) -> None:
    inputs = data.inputs(run_dir, optimizer={"learning_rate": 1e30}, max_skipped_steps=2, validate_max_bytes=1)
    said = start_attempt(context, inputs).wait()
    assert (said["error"], said["exit_code"]) == ("NumericsError", 12)
    skips = list(read_lines(run_dir / "metrics.jsonl", "skip"))
    assert [line["skipped_in_a_row"] for line in skips] == [1, 2, 3]
    assert all(line["cause"] in ("the loss", "the gradient") for line in skips)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    context: Any, data: Data, copied: Callable[[], Path], undisturbed: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    inputs = data.inputs(run_dir, save_every_minutes=1e-6, keep_checkpoints=2)
    assert start_attempt(context, inputs).kill_when(
        lambda: sum(path.name[-8:].isdigit() for path in (run_dir / "checkpoints").glob("step-*")) >= 2
    )
    older, newer = sorted(path for path in (run_dir / "checkpoints").glob("step-*") if path.name[-8:].isdigit())[-2:]
    victim = newer / "engine" / "bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    warnings: list[str] = []
    found = newest(run_dir, warnings)
    assert found == older
    assert len(warnings) == 1
    assert newer.name in warnings[0]
    assert victim.name in warnings[0]
    assert start_attempt(context, inputs).wait()["worked"]
    assert losses(run_dir) == losses(undisturbed)


def newest(run_dir: Path, warnings: list[str]) -> Path:
    from eurolm.train.store import newest_verified

    found = newest_verified(run_dir / "checkpoints", "same", 2, warnings.append)
    assert found is not None
    return found.path


def test_another_number_of_ranks_is_refused(data: Data, copied: Callable[[], Path]) -> None:
    run_dir = copied()
    (run_dir / "model").rename(run_dir / "elsewhere")
    with pytest.raises(ConfigError, match=r"train.ranks = 1, but .* was written by 2 ranks"):
        run_training(data.inputs(run_dir, ranks=1), QUIET)


def test_a_checkpoint_of_another_training_is_refused_and_kept(data: Data, copied: Callable[[], Path]) -> None:
    run_dir = copied()
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="belongs to training same, this config makes other"):
        run_training(data.inputs(run_dir, fingerprint="other"), QUIET)
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("ranks", "micro", "said"),
    [
        (3, None, r"batch_rows = 8 is not a multiple of train.ranks 3. Nearest: 6 or 9"),
        (2, 3, r"train.ranks 2 × train.micro_batch_rows 3 = 6. Nearest: 6 or 12"),
    ],
)
def test_an_indivisible_batch_is_refused(ranks: int, micro: int | None, said: str, data: Data, run_dir: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        run_training(data.inputs(run_dir, ranks=ranks, micro_batch_rows=micro), QUIET)
    assert list(run_dir.iterdir()) == []


def test_a_full_disk_ends_with_14_and_keeps_the_last_checkpoint(
    context: Any, data: Data, run_dir: Path, undisturbed: Path
) -> None:
    """A limit on file sizes stands for the full disk: the copier cannot finish its file."""
    inputs = data.inputs(run_dir, save_every_minutes=1e-6)
    attempt = start_attempt(context, inputs)
    wait_for_steps(run_dir, 6)
    resource.prlimit(attempt.copier(), resource.RLIMIT_FSIZE, (10_000, 10_000))
    said = attempt.wait()
    assert (said["error"], said["exit_code"]) == ("MachineError", 14)
    assert "File too large" in said["message"]
    assert str(run_dir / "checkpoints") in said["message"]
    complete = [path for path in (run_dir / "checkpoints").glob("step-*") if path.name[-8:].isdigit()]
    assert complete
    assert start_attempt(context, inputs).wait()["worked"]
    assert losses(run_dir) == losses(undisturbed)
    assert len(losses(run_dir)) == STEPS
