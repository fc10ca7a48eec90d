"""The end of a training job: noted in the ledger, and what it means for the other jobs of the launch."""

from __future__ import annotations

from pathlib import Path

from eurolm.artifacts.ledger import events, record
from eurolm.cluster.chain import STOPPED, Action, follow_up
from eurolm.cluster.submit import last_launch

ENDED = "job-ended"
CHECKPOINTS = "checkpoints"


def actions_after(run_dir: Path, job: str, code: int) -> list[Action]:
    """Record that `job` ended with `code`, and say what follows; nothing for a job that no launch submitted.

    This runs inside the container, without Slurm's clients: what no longer waits is not known here, and the batch
    shell's requests for jobs that have ended do nothing.
    """
    checkpoint = newest_checkpoint(run_dir)
    progressed = made_progress(run_dir, code, checkpoint)
    record(run_dir, ENDED, job=job, code=code, checkpoint=checkpoint)
    launch = last_launch(run_dir)
    if launch is None or job not in launch.jobs.values():
        return []
    names = list(launch.jobs)
    this = next(i for i, name in enumerate(names) if launch.jobs[name] == job)
    ended = {event["job"] for event in events(run_dir, ENDED)}
    waiting = [launch.jobs[name] for name in names[this + 1 :] if launch.jobs[name] not in ended]
    return follow_up(code, job, launch.jobs, waiting, launch.cancelled, progressed)


def newest_checkpoint(run_dir: Path) -> str | None:
    """Name of the newest complete checkpoint."""
    places = (run_dir / CHECKPOINTS).glob("step-*")
    return max((path.name for path in places if path.name.removeprefix("step-").isdigit()), default=None)


def made_progress(run_dir: Path, code: int, checkpoint: str | None) -> bool:
    """False when this is the second failure in a row without a new checkpoint: a third one would only cost hours."""
    before = events(run_dir, ENDED)
    if code in (0, STOPPED) or not before or before[-1]["code"] in (0, STOPPED):
        return True
    return bool(before[-1]["checkpoint"] != checkpoint)
