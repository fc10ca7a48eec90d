"""The end of a training job: noted in the ledger, and what it means for the other jobs of the launch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eurolm.artifacts.ledger import events, record
from eurolm.cluster.chain import STOPPED, Action, follow_up
from eurolm.cluster.excluded import exclude, excluded_nodes
from eurolm.cluster.jobs import EVALUATE_STEP
from eurolm.cluster.submit import JOB, LAUNCH, cancelled_jobs, last_launch
from eurolm.errors import StoppedError
from eurolm.train.inputs import CHECKPOINTS
from eurolm.train.store import complete, read_progress

ENDED = "job-ended"
SCORING = f"{EVALUATE_STEP.name}-"
MOST_LOSSES = 3
"""Times that one job starts again because a node could not be reached; after that it has failed."""


def actions_after(
    run_dir: Path, job: str, code: int, unreachable: Sequence[str] = (), known_bad: Sequence[str] = ()
) -> list[Action]:
    """Record that `job` ended with `code`, and say what follows; nothing for a job that no launch submitted.

    `unreachable`: nodes on which Slurm could not start a task; `known_bad`: nodes that the config excludes. This runs
    inside the container, without Slurm's clients: what no longer waits is not known here, and the batch shell's
    requests for jobs that have ended do nothing.
    """
    checkpoint, before = newest_checkpoint(run_dir), ends(run_dir)
    progressed = made_progress(before, code, checkpoint)
    losses = [event for event in before if event["job"] == job and event.get("unreachable")]
    lost = list(unreachable) if len(losses) < MOST_LOSSES else []
    record(run_dir, ENDED, job=job, code=code, checkpoint=checkpoint, unreachable=lost)
    launch = last_launch(run_dir)
    if launch is None or job not in launch.jobs.values():
        return []
    if lost and not launch.cancelled:
        return [_without(run_dir, job, lost, known_bad, losses)]
    # The scoring of a checkpoint depends on nothing and nothing on it.
    ids = {name: known for name, known in launch.jobs.items() if not name.startswith(SCORING)}
    scoring = [known for name, known in launch.jobs.items() if name.startswith(SCORING)]
    ended = {event["job"] for event in events(run_dir, ENDED)}
    after = list(ids.values())
    waiting = [other for other in after[after.index(job) + 1 :] if other not in ended]
    return follow_up(code, job, ids, waiting, cancelled=launch.cancelled, progressed=progressed, scoring=scoring)


def _without(
    run_dir: Path, job: str, unreachable: Sequence[str], known_bad: Sequence[str], losses: Sequence[dict[str, Any]]
) -> Action:
    """Start again, as after a loss that Slurm noticed; without a node that is met so for the second time."""
    again = [node for node in unreachable if any(node in event["unreachable"] for event in losses)]
    if not again:
        return Action("requeue")
    exclude(run_dir, [(node, "no task could be started on it, twice") for node in again], job)
    return Action("requeue", avoid=tuple(dict.fromkeys((*known_bad, *excluded_nodes(run_dir)))))


def refuse_if_cancelled(run_dir: Path, job: str) -> None:
    """Raise StoppedError in a job of a launch that was cancelled: Slurm lets only its owner cancel the job itself."""
    if job in cancelled_jobs(run_dir):
        raise StoppedError(f"{run_dir.name} was cancelled: eurolm launch CONFIG goes on where it was.")


def unscored(run_dir: Path) -> list[int]:
    """Steps of the checkpoints kept for good whose scoring was not submitted yet."""
    launch = last_launch(run_dir)
    known = {int(event["step"]) for event in events(run_dir, JOB) if "step" in event}
    found = [path for path in complete(run_dir / CHECKPOINTS) if read_progress(path).permanent]
    steps = [int(path.name.removeprefix("step-")) for path in found]
    return [] if launch is None else [step for step in steps if step not in known]


def note_scoring(run_dir: Path, step: int, job: str) -> None:
    """Record that job `job` scores the checkpoint of `step`."""
    record(run_dir, JOB, name=f"{SCORING}{step}", kind=EVALUATE_STEP.name, job=job, step=step)


def newest_checkpoint(run_dir: Path) -> str | None:
    """Name of the newest complete checkpoint."""
    return max((path.name for path in complete(run_dir / CHECKPOINTS)), default=None)


def ends(run_dir: Path) -> list[dict[str, Any]]:
    """How training jobs ended since the last launch, in order: what an earlier launch met may have been mended."""
    found: list[dict[str, Any]] = []
    for event in events(run_dir):
        if event["event"] == LAUNCH:
            found = []
        elif event["event"] == ENDED:
            found.append(event)
    return found


def made_progress(before: Sequence[dict[str, Any]], code: int, checkpoint: str | None) -> bool:
    """False when this is the second failure in a row without a new checkpoint: a third one would only cost hours. The
    loss of a node is no failure of the run."""
    failures = [event for event in before if not event.get("unreachable")]
    if code in (0, STOPPED) or not failures or failures[-1]["code"] in (0, STOPPED):
        return True
    return bool(failures[-1]["checkpoint"] != checkpoint)
