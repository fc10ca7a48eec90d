"""One writer per stage: a lease file that names its holder and goes stale when the holder is gone.

Stale at once when the holder's process is gone on the same host (a pid counts only with its start time, because pids
are reused) or Slurm no longer knows its job; else when its heartbeat, the file's mtime, is older than two minutes.
Readers never look at leases.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eurolm.errors import BusyError

HEARTBEAT_EVERY_S = 20.0
STALE_AFTER_S = 120.0


@contextmanager
def lease(path: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold `path` while the block runs. Raises BusyError when a live process holds it, and still does after `wait_s`
    seconds: a job that replaces a dead one may have to wait until the other's heartbeat is old."""
    holder = _this_process()
    deadline = time.monotonic() + wait_s
    while True:
        try:
            _acquire(path, holder)
            break
        except BusyError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(1.0)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, stop), daemon=True, name="lease-heartbeat")
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        if _read(path) == holder:
            path.unlink(missing_ok=True)


def _this_process() -> dict[str, Any]:
    return {
        "nonce": uuid.uuid4().hex,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": process_start(os.getpid()),
        "job": os.environ.get("SLURM_JOB_ID"),
        "restart": os.environ.get("SLURM_RESTART_COUNT"),
    }


def process_start(pid: int) -> str | None:
    """Start time of a live process in clock ticks since boot; null when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _acquire(path: Path, holder: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(5):
        if _create(path, holder):
            return
        other = _read(path)
        if other is not None and not _is_stale(path, other):
            raise BusyError(
                f"{path.parent.name}/{path.stem} is being written by process {other.get('pid')} on {other.get('host')}"
                + (f" (job {other['job']})" if other.get("job") else "")
                + ". Wait for it, or stop it and run again."
            )
        _set_aside(path, other)
    raise BusyError(f"{path} changes hands too quickly; run again.")


def _create(path: Path, holder: dict[str, Any]) -> bool:
    """Hard-link a complete file into place: unlike O_EXCL and write, nobody can read it half-written."""
    draft = path.with_name(f"{path.name}.{holder['nonce']}")
    draft.write_text(json.dumps(holder))
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _set_aside(path: Path, judged: dict[str, Any] | None) -> None:
    """Remove the stale lease that was judged, and no other: somebody may have renewed it in between."""
    aside = path.with_name(f"{path.name}.stale-{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if judged is not None and _read(aside) != judged:
        os.link(aside, path)
    aside.unlink()


def _is_stale(path: Path, holder: dict[str, Any]) -> bool:
    if holder.get("host") == socket.gethostname():
        return process_start(int(holder["pid"])) != holder.get("started")
    job = os.environ.get("SLURM_JOB_ID")
    if job is not None and holder.get("job") == job:
        # An earlier start of this very job: Slurm requeued it, so that start is over.
        return holder.get("restart") != os.environ.get("SLURM_RESTART_COUNT")
    if holder.get("job") and shutil.which("squeue"):
        return not _job_exists(str(holder["job"]))
    try:
        return time.time() - path.stat().st_mtime > STALE_AFTER_S
    except FileNotFoundError:
        return True


def _job_exists(job: str) -> bool:
    command = ["squeue", "--noheader", "--jobs", job, "--format", "%A"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if answer.returncode != 0:
        return "Invalid job id" not in answer.stderr
    return bool(answer.stdout.strip())


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_EVERY_S):
        try:
            os.utime(path)
        except OSError:
            return


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and "pid" in value else None
