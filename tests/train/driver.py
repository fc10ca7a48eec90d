"""Trainings and rank groups in processes forked from one that has imported torch and DeepSpeed.

Importing them takes 6 s per process; a fork takes milliseconds. A driver process is what `eurolm run` is to its ranks:
their parent, in a session of its own, so that one SIGKILL to its group takes the training away at once.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from eurolm.console import Reporter
from eurolm.errors import EurolmError
from eurolm.train.inputs import TrainInputs
from eurolm.train.launch import run_training
from eurolm.train.processes import RankProcess, free_port

PRELOADED = ["tests.train.preload"]
LIMIT_S = 90.0


def preloaded_context() -> Any:
    """A multiprocessing context whose processes start with everything imported."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@dataclass
class ForkedRank:
    """A rank forked from the driver."""

    pid: int
    code: int | None = None

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def fork(body: Callable[[], int], environment: dict[str, str], log: Path) -> ForkedRank:
    """Run `body` in a fork of this process, its output in `log`."""
    pid = os.fork()
    if pid:
        return ForkedRank(pid)
    status = 1
    try:
        os.environ.clear()
        os.environ.update(environment)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1)
        status = body()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def fork_rank(spec: Path, environment: dict[str, str], log: Path) -> RankProcess:
    """Starter of `run_training`: the same entry as `python -m eurolm.train.rank`, without the imports."""
    from eurolm.train.rank import main

    return fork(lambda: main(spec), environment, log)


def drive(inputs: TrainInputs, result: Path, prepare: Callable[[], None] | None) -> None:
    """Body of a driver process: one attempt at training; how it went is written to `result`."""
    os.setsid()
    if prepare is not None:
        prepare()
    said: dict[str, Any] = {"error": None, "message": "", "exit_code": 0, "worked": False}
    try:
        said["worked"] = run_training(inputs, Reporter("quiet"), fork_rank).worked
    except EurolmError as error:
        said |= {"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
    result.write_text(json.dumps(said))


@dataclass
class Attempt:
    """One attempt at training, running or ended."""

    process: BaseProcess
    inputs: TrainInputs
    result: Path

    def wait(self) -> dict[str, Any]:
        """How it ended: error class, message, exit code, worked."""
        self.process.join(LIMIT_S)
        assert not self.process.is_alive(), "training hangs"
        assert self.process.exitcode == 0, f"driver ended with {self.process.exitcode}"
        return json.loads(self.result.read_text())

    def kill_when(self, moment: Callable[[], bool]) -> bool:
        """SIGKILL the whole process group as soon as `moment` is true; False when training ended before."""
        deadline = time.monotonic() + LIMIT_S
        while self.process.is_alive() and time.monotonic() < deadline:
            if moment():
                os.killpg(self.process.pid or 0, signal.SIGKILL)
                self.process.join()
                return True
        return False

    def members(self) -> list[int]:
        """Processes of the group that live."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                dead = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
                if not dead and os.getpgid(int(entry.name)) == self.process.pid:
                    found.append(int(entry.name))
            except (ProcessLookupError, FileNotFoundError):
                continue
        return found

    def copier(self) -> int:
        """Process id of the copier, once it runs."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for pid in self.members():
                if b"eurolm.train.copier" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        raise AssertionError("no copier")


def start_attempt(context: Any, inputs: TrainInputs, prepare: Callable[[], None] | None = None) -> Attempt:
    """Start one attempt in a driver of its own; `prepare` runs in it first (limits, mounts)."""
    result = inputs.run_dir.with_name(f"{inputs.run_dir.name}-result.json")
    result.unlink(missing_ok=True)
    process = context.Process(target=drive, args=(inputs, result, prepare))
    process.start()
    return Attempt(process, inputs, result)


def group_body(function: Callable[..., Any], world: int, place: Path, arguments: tuple[Any, ...]) -> None:
    """Body of a process that forks a group of ranks, each running `function(rank, *arguments)`."""
    port = str(free_port())
    ranks = []
    for rank in range(world):
        environment = {
            **os.environ,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(world),
            "LOCAL_WORLD_SIZE": str(world),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        body = partial(_call, function, rank, place, arguments)
        ranks.append(fork(body, environment, place / f"{rank}.log"))
    while any(rank.poll() is None for rank in ranks):
        if any(rank.poll() not in (None, 0) for rank in ranks):
            for rank in ranks:
                if rank.poll() is None:
                    rank.kill()
        time.sleep(0.02)


def _call(function: Callable[..., Any], rank: int, place: Path, arguments: tuple[Any, ...]) -> int:
    from eurolm.train.backend import start_backend

    start_backend(1)
    (place / f"{rank}.json").write_text(json.dumps(function(rank, *arguments)))
    return 0


def run_group(context: Any, place: Path, world: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `function(rank, *arguments)` returned (JSON) on each of `world` ranks joined in a process group."""
    place.mkdir(parents=True)
    process = context.Process(target=group_body, args=(function, world, place, arguments))
    process.start()
    process.join(LIMIT_S)
    answers = []
    for rank in range(world):
        answer = place / f"{rank}.json"
        assert answer.exists(), (place / f"{rank}.log").read_text()
        answers.append(json.loads(answer.read_text()))
    return answers
