"""`eurolm cancel`: a stop in good order first, the end afterwards."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable

from eurolm.artifacts.ledger import record
from eurolm.cluster import scheduler
from eurolm.cluster.chain import is_training
from eurolm.cluster.submit import CANCELLED, Launch
from eurolm.console import Reporter
from eurolm.errors import MachineError

POLL_S = 1.0


def cancel(launch: Launch, wait_s: float, reporter: Reporter, sleep: Callable[[float], None] = time.sleep) -> None:
    """Cancel the jobs of a launch.

    Jobs that wait are cancelled at once. A running training job is asked to save and stop, and is cancelled only when
    it has not ended after `wait_s`.
    """
    states = launch.states()
    running = [name for name, job in states.items() if job.state == "RUNNING" and is_training(name)]
    record(launch.run_dir, CANCELLED, user=getpass.getuser(), why="eurolm cancel")
    if running:
        # Before the others: a job that ends now must not find its successor alive and leave the work to it.
        (launch.run_dir / "stop").touch()
    at_once = [job.job for name, job in states.items() if job.active and name not in running]
    if at_once and _cancelled(at_once, reporter):
        reporter.say(f"cancelled {len(at_once)} jobs: {', '.join(at_once)}")
    for name in running:
        reporter.say(f"{name} (job {states[name].job}) was asked to save and stop; waiting up to {wait_s:.0f} s")
    end = time.monotonic() + wait_s
    left = [launch.jobs[name] for name in running]
    while left and time.monotonic() < end:
        sleep(POLL_S)
        left = [job for job, state in scheduler.states(left).items() if state.active]
    if left and _cancelled(left, reporter):
        reporter.warn(f"{', '.join(left)} did not stop within {wait_s:.0f} s: cancelled; the last checkpoint counts")
    reporter.say(f"{launch.run_dir.name} is cancelled. `eurolm launch` with the same config goes on where it was.")


def _cancelled(jobs: list[str], reporter: Reporter) -> bool:
    """Cancel, or say why not. A colleague's jobs can be stopped only through the run's files, which they look at."""
    try:
        scheduler.scancel(jobs)
    except MachineError as error:
        reporter.warn(f"{error}. Training jobs of this launch end by themselves when they start.")
        return False
    return True
