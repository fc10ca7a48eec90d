"""`eurolm status`: stages, jobs, progress and time left of a launched run, and how it compares with its plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from eurolm.cluster.plan_record import Deviation, Measured, Plan, audit, read_plan
from eurolm.cluster.progress import STAGES, Progress, finished_stages, training_progress
from eurolm.cluster.scheduler import JobState
from eurolm.cluster.submit import Launch
from eurolm.config.load import derived, load_config

BAD = frozenset({"FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "PREEMPTED"})
STOPPED = "10:0"
"""Exit code of a training job that stopped in good order."""


@dataclass(frozen=True)
class Status:
    """A launched run as it is now."""

    name: str
    launch: Launch
    jobs: dict[str, JobState]
    stages: dict[str, float | None]
    progress: Progress | None
    plan: list[Deviation]
    """The plan beside what is measured, alarms first."""

    @property
    def failed(self) -> list[str]:
        """Names of jobs that ended badly; a training job that stopped in good order did not."""
        return [name for name, job in self.jobs.items() if job.state in BAD and job.exit_code != STOPPED]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        progress = self.progress
        return {
            "run": self.name,
            "cluster": self.launch.facts["cluster"],
            "user": self.launch.facts["user"],
            "cancelled": self.launch.cancelled,
            "jobs": [{"name": name, **asdict(job)} for name, job in self.jobs.items()],
            "stages": self.stages,
            "failed": self.failed,
            "training": None
            if progress is None
            else {**asdict(progress), "share": progress.share, "seconds_left": progress.seconds_left},
            "plan": [asdict(deviation) for deviation in self.plan],
        }


def status(launch: Launch) -> Status:
    """Ask Slurm, read the ledger and the metrics."""
    run_dir = launch.run_dir
    total = derived(load_config(launch.config_file, launch.overrides).config)["train.steps"]
    progress = training_progress(run_dir, total)
    plan = read_plan(run_dir)
    deviations = audit(plan, measured(progress, plan)) if plan is not None and progress is not None else []
    return Status(run_dir.name, launch, launch.states(), finished_stages(run_dir), progress, deviations)


def measured(progress: Progress, plan: Plan) -> Measured:
    """What the running training shows, in the plan's terms."""
    speed = None if progress.tokens_per_s is None else progress.tokens_per_s / plan.ranks
    expected = None
    if progress.step_s is not None and plan.units is not None and plan.hours is not None and plan.hours.middle:
        per_hour = plan.units.middle / plan.hours.middle
        expected = per_hour * progress.step_s * progress.total_steps / 3600
    return Measured(
        tokens_per_s_per_device=speed,
        peak_memory_bytes=progress.peak_memory_bytes,
        save_s=progress.save_s,
        units_expected=expected,
    )


def shown(found: Status, now: datetime) -> list[str]:
    """The screen."""
    facts = found.launch.facts
    lines = [f"{found.name} on {facts['cluster']}, launched {facts['time']} by {facts['user']}"]
    if found.launch.cancelled:
        lines.append("cancelled")
    lines += ["", "stages  " + "  ".join(f"{stage} {_mark(found, stage)}" for stage in STAGES)]
    if found.progress is not None:
        lines += ["", *_training(found.progress, now)]
    lines += [f"{'ALARM' if item.alarm else 'plan'}      {item.text}" for item in found.plan]
    lines += ["", f"{'job':<12} {'id':<10} {'state':<12} {'':<24} nodes"]
    lines += [_job_line(name, job) for name, job in found.jobs.items()]
    if found.failed:
        lines += ["", f"{', '.join(found.failed)} failed: `eurolm doctor {found.name}` says why."]
    return lines


def _mark(found: Status, stage: str) -> str:
    if stage in found.stages:
        seconds = found.stages[stage]
        return "done" if seconds is None else f"done ({timedelta(seconds=round(seconds))})"
    return "–"


def _training(progress: Progress, now: datetime) -> list[str]:
    speed = "n/a" if progress.tokens_per_s is None else f"{progress.tokens_per_s:,.0f} tokens/s"
    loss = "n/a" if progress.loss is None else f"{progress.loss:.4f}"
    lines = [
        f"training  step {progress.step:,} of {progress.total_steps:,} ({progress.share:.1%}), loss {loss}, {speed}"
    ]
    left = progress.seconds_left
    if left:
        end = (now + timedelta(seconds=left)).strftime("%Y-%m-%d %H:%M")
        lines.append(f"          {timedelta(seconds=round(left))} of training left: {end} without queueing")
    return lines


def _job_line(name: str, job: JobState) -> str:
    note = job.reason if job.reason not in ("", "None") else ""
    if job.state == "RUNNING":
        note = f"until {job.end}"
    elif job.exit_code == STOPPED:
        note = "stopped in good order"
    elif not job.active and job.exit_code not in ("", "0:0"):
        note = f"exit {job.exit_code.split(':')[0]} {note}"
    restarts = f", restarted {job.restarts} ×" if job.restarts else ""
    return f"{name:<12} {job.job:<10} {job.state.lower():<12} {note + restarts:<24} {job.nodes}".rstrip()
