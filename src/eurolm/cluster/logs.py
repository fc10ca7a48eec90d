"""Where the logs of a launched run are, and their last lines."""

from __future__ import annotations

import os
from pathlib import Path

from eurolm.cluster.submit import LOGS, Launch
from eurolm.errors import InputError

TAIL_BYTES = 262_144


def job_log(launch: Launch, name: str) -> Path:
    """Log of a job by its name (`train-2`) or id; it exists once the job has started."""
    by_id = {job: known for known, job in launch.jobs.items()}
    name = by_id.get(name, name)
    if name not in launch.jobs:
        raise InputError(f"{launch.run_dir.name} has no job {name!r}. Jobs: {', '.join(launch.jobs) or 'none'}.")
    return launch.run_dir / LOGS / f"{name.rstrip('0123456789').rstrip('-')}-{launch.jobs[name]}.log"


def newest_log(launch: Launch) -> Path:
    """Log of this launch that was written last. Raises InputError where no job has started yet."""
    started = [path for name in launch.jobs if (path := job_log(launch, name)).exists()]
    if not started:
        raise InputError(f"no job of {launch.run_dir.name} has started yet: eurolm status {launch.run_dir.name}.")
    return max(started, key=lambda path: path.stat().st_mtime_ns)


def rank_logs(launch: Launch, job: str) -> list[Path]:
    """Logs of the ranks of a training job's last attempt, those written last first."""
    attempts = sorted((launch.run_dir / "logs").glob(f"train-{job}-*"), key=lambda path: path.stat().st_mtime_ns)
    if not attempts:
        return []
    return sorted(attempts[-1].glob("rank-*.log"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file that may be long; empty for one that is not there."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-count:]
