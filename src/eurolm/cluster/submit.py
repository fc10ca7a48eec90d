"""Submitting a run: scripts written, jobs submitted with their dependencies, all of it in the run's ledger."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import write_text
from eurolm.artifacts.hashing import sha256_json
from eurolm.artifacts.lease import lease
from eurolm.artifacts.ledger import events, record
from eurolm.cluster import scheduler
from eurolm.cluster.chain import PlannedJob
from eurolm.cluster.render import Order
from eurolm.cluster.scheduler import JobState
from eurolm.console import Reporter
from eurolm.errors import BusyError, EurolmError, InputError

SCRIPTS = "slurm"
LOGS = Path("logs") / "slurm"
LAUNCH, JOB, CANCELLED = "launch", "job", "cancelled"


@dataclass(frozen=True)
class Launch:
    """What the ledger says of the last launch of a run."""

    run_dir: Path
    facts: dict[str, Any]
    jobs: dict[str, str]
    """Name → job id, in the order of submission."""
    cancelled: bool

    @property
    def config_file(self) -> Path:
        """Config it was launched with."""
        return Path(self.facts["config"])

    @property
    def overrides(self) -> tuple[str, ...]:
        """`key=value` arguments of its jobs."""
        return tuple(self.facts["overrides"])

    def states(self) -> dict[str, JobState]:
        """Name → state of each job, asked of Slurm now."""
        told = scheduler.states(list(self.jobs.values()))
        return {name: told[job] for name, job in self.jobs.items()}


def last_launch(run_dir: Path) -> Launch | None:
    """The last launch; None where the run was never submitted."""
    found: dict[str, Any] | None = None
    jobs: dict[str, str] = {}
    cancelled = False
    for event in events(run_dir):
        if event["event"] == LAUNCH:
            found, jobs, cancelled = event, {}, False
        elif event["event"] == JOB:
            jobs[event["name"]] = event["job"]
        elif event["event"] == CANCELLED:
            cancelled = True
    return None if found is None else Launch(run_dir, found, jobs, cancelled)


def live_launch(run_dir: Path) -> Launch | None:
    """The last launch, while any of its jobs waits or runs."""
    found = last_launch(run_dir)
    if found is None:
        return None
    active = [state for state in found.states().values() if state.active]
    # What still waits of a cancelled launch ends by itself; what runs is to be waited for.
    alive = [state for state in active if state.state != "PENDING"] if found.cancelled else active
    return found if alive else None


def cancelled_jobs(run_dir: Path) -> set[str]:
    """Ids of the jobs of all launches that were cancelled."""
    cancelled: set[str] = set()
    current: list[str] = []
    for event in events(run_dir):
        if event["event"] == LAUNCH:
            current = []
        elif event["event"] == JOB:
            current.append(event["job"])
        elif event["event"] == CANCELLED:
            cancelled.update(current)
    return cancelled


def launched(run: str, workspace: Path) -> Launch:
    """The last launch of a run given by name or path. Raises InputError where there is none."""
    for place in (workspace / "runs" / run, Path(run)):
        found = last_launch(place)
        if found is not None:
            return found
    raise InputError(f"{run} was never launched from {workspace.resolve()}: eurolm launch CONFIG.")


def write_scripts(order: Order, scripts: dict[str, str]) -> Path:
    """Write the scripts to `runs/<name>/slurm/`; that directory."""
    place = order.run_dir / SCRIPTS
    # A log directory that is missing ends a job before its first line.
    (order.run_dir / LOGS).mkdir(parents=True, exist_ok=True)
    for name, text in scripts.items():
        write_text(place / name, text)
    return place


def submit(order: Order, planned: Sequence[PlannedJob], scripts: dict[str, str], reporter: Reporter) -> Launch:
    """Submit the jobs. Raises MachineError when Slurm refuses one; those submitted before it are cancelled.

    Raises BusyError where jobs of the run are alive: of two people who launch at once, one succeeds.
    """
    order.run_dir.mkdir(parents=True, exist_ok=True)
    with lease(order.run_dir / "launch.lease"):
        if live_launch(order.run_dir) is not None:
            raise BusyError(f"{order.config.name} was launched a moment ago: eurolm status {order.config.name}.")
        place = write_scripts(order, scripts)
        record(
            order.run_dir, LAUNCH, cluster=order.profile.name, user=getpass.getuser(), workdir=str(order.workdir),
            config=str(order.config_file), overrides=list(order.overrides), scripts=sha256_json(scripts),
        )  # fmt: skip
        _submit_all(order, planned, place, reporter)
    launched = last_launch(order.run_dir)
    assert launched is not None  # noqa: S101 - recorded above
    return launched


def _submit_all(order: Order, planned: Sequence[PlannedJob], place: Path, reporter: Reporter) -> None:
    ids: dict[str, str] = {}
    try:
        for job in planned:
            after = job.dependency(ids)
            ids[job.name] = scheduler.sbatch(place / f"{job.kind.name}.sbatch", order.run_dir, after)
            record(order.run_dir, JOB, name=job.name, kind=job.kind.name, job=ids[job.name], after=after)
            reporter.say(f"  {job.name:<12} job {ids[job.name]:<10} {f'after {after}' if after else ''}".rstrip())
    except (EurolmError, KeyboardInterrupt):
        scheduler.scancel(list(ids.values()))
        record(order.run_dir, CANCELLED, user=getpass.getuser(), why="a job of the launch was refused")
        raise


def share_with_group(umask: str) -> None:
    """From here on files are made as `run.umask` says, so that a colleague can resume or cancel."""
    os.umask(int(umask, 8))
