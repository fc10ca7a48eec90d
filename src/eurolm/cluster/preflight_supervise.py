"""The clock over the ranks of one host: starts them, reads their marks, ends those that stay too long at one.

No torch here: a rank that hangs in a driver or a fabric library cannot be asked anything, but its process can be looked
at and killed from outside.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eurolm.cluster.preflight_record import HostReport, RankReport, Spec

COMMAND = (sys.executable, "-m", "eurolm.cluster.preflight_rank")
LAST_WORDS = 6
FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<function>\S+)')
DUMP_S, KILL_S = 0.5, 5.0


@dataclass
class _Child:
    """A running rank, as far as its supervisor knows."""

    rank: int
    local: int
    process: subprocess.Popen[bytes]
    descriptor: int
    log: Path
    mark: str = "start"
    since: float = field(default_factory=time.monotonic)
    facts: dict[str, Any] = field(default_factory=dict)
    unread: bytes = b""
    report: RankReport | None = None


def supervise(spec: Spec, place: Path, limits: Mapping[str, float], command: Sequence[str] = COMMAND) -> HostReport:
    """Run the ranks of this host under `limits` (seconds per mark); logs go to `place`. Returns within the limits."""
    children = [_start(spec, local, place, command) for local in range(spec.devices)]
    with selectors.DefaultSelector() as selector:
        for child in children:
            selector.register(child.descriptor, selectors.EVENT_READ, child)
        while waiting := [child for child in children if child.report is None]:
            for key, _ in selector.select(timeout=0.1):
                if not _read(key.data):
                    selector.unregister(key.fd)
            for child in waiting:
                _look_after(child, limits)
    for child in children:
        os.close(child.descriptor)
    return HostReport(spec.host, spec.node, [child.report for child in children if child.report])


def _start(spec: Spec, local: int, place: Path, command: Sequence[str]) -> _Child:
    rank = spec.node * spec.devices + local
    environment = {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(local),
        "WORLD_SIZE": str(spec.nodes * spec.devices),
        "LOCAL_WORLD_SIZE": str(spec.devices),
        "MASTER_ADDR": spec.address,
        "MASTER_PORT": str(spec.port),
    }
    reading, writing = os.pipe()
    log = place / f"node-{spec.node}-rank-{local}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*command, json.dumps(asdict(spec)), str(writing)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            pass_fds=[writing],
        )
    os.close(writing)
    os.set_blocking(reading, False)
    return _Child(rank, local, process, reading, log)


def _read(child: _Child) -> bool:
    """Take in marks; false at the end of the pipe."""
    try:
        data = os.read(child.descriptor, 65536)
    except BlockingIOError:
        return True
    *lines, child.unread = (child.unread + data).split(b"\n")
    for line in lines:
        said = json.loads(line)
        child.mark, child.since = said.pop("mark"), time.monotonic()
        child.facts |= said
    return bool(data)


def _look_after(child: _Child, limits: Mapping[str, float]) -> None:
    """Write the report of a rank that has ended or that stays too long at its mark."""
    code = child.process.poll()
    if code is not None:
        while _read(child):
            pass
        done = code == 0 and child.mark == "end"
        child.report = _report(child, "done") if done else _report(child, "died", _how_it_died(child, code))
    elif time.monotonic() - child.since > limits.get(child.mark, KILL_S):
        state = _process_state(child.process.pid)
        frame = _where_it_stands(child) if state not in ("T", "D") else ""
        child.process.kill()
        try:
            child.process.wait(KILL_S)
        except subprocess.TimeoutExpired:
            frame = "it cannot be killed"
        child.report = _report(child, "hung", frame, state)


def _report(child: _Child, state: Any, detail: str = "", process_state: str = "") -> RankReport:
    return RankReport(child.rank, child.local, state, child.mark, detail, process_state, child.facts)


def _process_state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _where_it_stands(child: _Child) -> str:
    """Its innermost Python frame, which the interpreter writes from a signal handler in C even while it hangs."""
    before = child.log.stat().st_size
    child.process.send_signal(signal.SIGUSR2)
    until = time.monotonic() + DUMP_S
    while time.monotonic() < until:
        if found := FRAME.search(child.log.read_bytes()[before:].decode(errors="replace")):
            return f"{Path(found['file']).name}:{found['line']} {found['function']}"
        time.sleep(0.02)
    return ""


def _how_it_died(child: _Child, code: int) -> str:
    lines = child.log.read_text(errors="replace").strip().splitlines()
    how = f"killed by signal {-code}" if code < 0 else f"ended with status {code}"
    return "; ".join([how, *lines[-1:]]) if code > 0 else how
