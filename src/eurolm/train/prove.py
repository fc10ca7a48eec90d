"""`--prove`: kill a copy of the training with SIGKILL, resume it, and compare every loss with the real run's.

The copy runs in a scratch directory on the same inputs, so nothing of the finished run is touched. It saves often,
validates nothing and stops soon after the resume: those are observation fields, which by definition change no number.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.errors import EurolmError, MachineError, StoppedError
from eurolm.train.inputs import TrainInputs
from eurolm.train.metrics import read_lines

STEPS_AFTER_RESUME = 25
SAVE_EVERY_MINUTES = 0.005
"""The copy saves almost at once and again whenever a save is done: it lives for seconds."""
TIME_LIMIT_S = 600.0


class ProofError(EurolmError):
    """The resumed copy differs from the run: the one thing that must not happen."""

    exit_code = 11


def prove(inputs: TrainInputs, reporter: Reporter) -> str:
    """The sentence that states the result. Raises ProofError when a loss differs, MachineError when the copy cannot
    be run."""
    real = losses(inputs.run_dir / "metrics.jsonl")
    scratch = inputs.run_dir / f".prove-{uuid.uuid4().hex[:8]}"
    scratch.mkdir()
    copy = replace(inputs, run_dir=scratch, config=_hurried(inputs))
    metrics = scratch / "metrics.jsonl"
    reporter.say("proving: a copy of the training will be killed and resumed …")
    child = _start(copy)
    try:
        saved = _wait(child, lambda: _saved_step(scratch))
        killed_at = _wait(child, lambda: _last_step(metrics, beyond=saved + 2))
        _kill(child)
        child = _start(copy)
        _wait(child, lambda: _last_step(metrics, beyond=min(killed_at + STEPS_AFTER_RESUME, max(real) - 1)))
        (scratch / "stop").touch()
        child.join(TIME_LIMIT_S)
        again = losses(metrics)
    finally:
        _kill(child)
        shutil.rmtree(scratch, ignore_errors=True)
    return verdict(real, again, killed_at)


def verdict(real: dict[int, str], again: dict[int, str], killed_at: int) -> str:
    """Compare losses (step → hex float) of the run and of its killed and resumed copy."""
    differing = [step for step, loss in again.items() if real.get(step) != loss]
    if differing:
        first = differing[0]
        raise ProofError(
            f"killed training at step {killed_at} and resumed: {len(differing)} of {len(again)} losses differ, first "
            f"at step {first}: {real.get(first)} in the run, {again[first]} in the copy. Was the run trained on "
            "another CPU, another torch or another number of threads? Otherwise report this as a defect."
        )
    return f"killed training at step {killed_at} and resumed: {len(again)} of {len(again)} losses identical bit for bit"


def losses(metrics: Path) -> dict[int, str]:
    """Step → loss as a hex float; a line torn by the kill is left out."""
    return {int(line["step"]): str(line["loss_hex"]) for line in read_lines(metrics, "step")}


def _hurried(inputs: TrainInputs) -> Config:
    asked = inputs.config.train
    hurried = {
        "save_every_minutes": SAVE_EVERY_MINUTES,
        "prompts": [],
        "validate_every_steps": 10**9,
        "validate_max_bytes": 1,
    }
    train = asked.model_copy(update=hurried)
    return inputs.config.model_copy(update={"train": train})


def _start(inputs: TrainInputs) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_train, args=(inputs,))
    process.start()
    return process


def _train(inputs: TrainInputs) -> None:
    """Child: a process group of its own, so that one SIGKILL takes it and its ranks."""
    os.setsid()
    from eurolm.train.launch import run_training

    try:
        run_training(inputs, Reporter("quiet"))
    except StoppedError:
        return


def _kill(child: BaseProcess) -> None:
    """End the child and its ranks, if they are still there."""
    if child.is_alive() and child.pid is not None:
        os.killpg(child.pid, signal.SIGKILL)
    child.join()


def _wait(child: BaseProcess, found: Callable[[], int]) -> int:
    """Poll until `found` returns a step. Raises MachineError when the child ends or takes too long."""
    deadline = time.monotonic() + TIME_LIMIT_S
    while time.monotonic() < deadline:
        step = found()
        if step:
            return step
        if not child.is_alive():
            step = found()
            if step:
                return step
            break
        time.sleep(0.02)
    raise MachineError(
        f"the copy of the training for --prove ended early (exit code {child.exitcode}). "
        "Very short trainings end before their first save; otherwise see the rank logs of a plain run."
    )


def _saved_step(scratch: Path) -> int:
    committed = (re.fullmatch(r"step-(\d+)", path.name) for path in scratch.glob("checkpoints/*"))
    return max((int(name[1]) for name in committed if name), default=0)


def _last_step(metrics: Path, beyond: int) -> int:
    last = max(losses(metrics), default=0)
    return last if last >= beyond else 0
