"""The rank processes of one attempt: started, watched, ended together. No torch here."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eurolm.errors import MachineError
from eurolm.train.inputs import RankSpec
from eurolm.train.lifeline import PARENT
from eurolm.train.stopping import held_back

SHOWN_LINES = 12
GRACE_S = 30.0
"""How long the other ranks may take to end after the first one has."""


class RankProcess(Protocol):
    """What the parent needs to know of a rank; `subprocess.Popen` is one."""

    pid: int

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...


PEERS_FAIL_WITHIN_S = 0.5

Starter = Callable[[Path, dict[str, str], Path], RankProcess]
"""Starts a rank from (spec file, environment, log file)."""


@dataclass(frozen=True)
class Rank:
    """One running rank."""

    number: int
    process: RankProcess
    log: Path


def start_process(spec: Path, environment: dict[str, str], log: Path) -> RankProcess:
    """A rank as a fresh interpreter, its output in `log`."""
    with log.open("ab") as stream, held_back():
        return subprocess.Popen(
            [sys.executable, "-m", "eurolm.train.rank", str(spec)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )


def rank_environment(spec: RankSpec, rank: int, port: int) -> dict[str, str]:
    """Environment of a rank on this host, the usual names of torch's launchers."""
    threads = str(spec.threads)
    return {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(spec.ranks),
        "LOCAL_WORLD_SIZE": str(spec.ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        # Nothing in training may reach for the network.
        "HF_HUB_OFFLINE": "1",
        PARENT: str(os.getpid()),
    }


def free_port() -> int:
    """A TCP port on the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def watch(ranks: list[Rank], tick: Callable[[], None], every_s: float = 0.2) -> None:
    """Call `tick` until every rank has ended.

    The first rank that fails takes the others with it, because they wait for it in a collective. Raises MachineError
    naming it; the caller ends the rest.
    """
    ended_at: float | None = None
    while True:
        codes = [rank.process.poll() for rank in ranks]
        tick()
        if any(code not in (None, 0) for code in codes):
            raise MachineError(_last_words(*_first_to_fail(ranks)))
        if all(code == 0 for code in codes):
            return
        if any(code == 0 for code in codes):
            ended_at = ended_at or time.monotonic()
            if time.monotonic() - ended_at > GRACE_S:
                late = [rank.number for rank, code in zip(ranks, codes, strict=True) if code is None]
                raise MachineError(f"ranks {late} did not end {GRACE_S:.0f} s after the others. See {ranks[0].log}.")
        time.sleep(every_s)


def end(ranks: list[Rank]) -> None:
    """Kill the ranks that still run and wait for them."""
    for rank in ranks:
        if rank.process.poll() is None:
            rank.process.kill()
    while any(rank.process.poll() is None for rank in ranks):
        time.sleep(0.01)


def _first_to_fail(ranks: list[Rank]) -> tuple[Rank, int]:
    """The rank that failed by itself, and its code.

    Its peers fail in their next collective, at once or a moment later, so all get that moment; a rank killed by a
    signal did not choose to end, and of the rest the one that fell silent first is to blame.
    """
    time.sleep(PEERS_FAIL_WITHIN_S)
    failed = [(rank, code) for rank in ranks if (code := rank.process.poll()) not in (None, 0)]
    return min(failed, key=lambda item: (item[1] > 0, item[0].log.stat().st_mtime_ns))


def _last_words(rank: Rank, code: int) -> str:
    lines = rank.log.read_text(errors="replace").strip().splitlines() if rank.log.exists() else []
    how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
    words = "\n".join(f"  {line}" for line in lines[-SHOWN_LINES:])
    return (
        f"rank {rank.number} {how}; the other ranks were ended. The same command resumes from the last checkpoint. "
        f"Its last lines ({rank.log}):\n{words}"
    )
