"""`eurolm status`: stages, jobs, progress and time left of a launched run, and how it compares with its plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from eurolm.cluster.jobs import EVALUATE_STEP
from eurolm.cluster.plan_record import Deviation, Measured, Plan, audit, read_plan
from eurolm.cluster.progress import STAGES, Progress, finished_stages, training_progress
from eurolm.cluster.scheduler import JobState
from eurolm.cluster.screen import entry, table
from eurolm.cluster.submit import Launch
from eurolm.config.load import derived, load_config

BAD = frozenset({"FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "PREEMPTED"})
STOPPED = "10:0"
"""Exit code of a training job that stopped in good order."""
BAR = 20
FOLDED = 4
"""So many neighbours of one kind and state become one line."""


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
    lines += ["", *entry("stages", "  ".join(f"{stage}\u00a0{_mark(found, stage)}" for stage in STAGES), hang=10)]
    if found.progress is not None:
        lines += ["", *_training(found.progress, now)]
    for item in found.plan:
        lines += entry("ALARM" if item.alarm else "plan", item.text, hang=10)
    lines += ["", *_jobs(found.jobs)]
    if found.failed:
        lines += ["", f"{', '.join(found.failed)} failed: `eurolm doctor {found.name}` says why."]
    return [line.replace("\u00a0", " ") for line in lines]


def _mark(found: Status, stage: str) -> str:
    if stage in found.stages:
        seconds = found.stages[stage]
        return "done" if seconds is None else f"done\u00a0({timedelta(seconds=round(seconds))})"
    return "–"


def _training(progress: Progress, now: datetime) -> list[str]:
    speed = "n/a" if progress.tokens_per_s is None else f"{progress.tokens_per_s:,.0f} tokens/s"
    loss = "n/a" if progress.loss is None else f"{progress.loss:.4f}"
    text = f"step {progress.step:,} of {progress.total_steps:,} ({progress.share:.1%}), loss {loss}, {speed}"
    lines = [*entry("training", text, hang=10)]
    done = round(BAR * progress.share)
    bar = f"{'█' * done}{'░' * (BAR - done)}"
    left = progress.seconds_left
    if left:
        end = (now + timedelta(seconds=left)).strftime("%Y-%m-%d %H:%M")
        bar += f" {timedelta(seconds=round(left))} of training left: {end} without queueing"
    return [*lines, *entry("", bar, hang=10)]


def _jobs(jobs: dict[str, JobState]) -> list[str]:
    """A line per job; neighbours of one kind in the same state share one, as do finished scorings of checkpoints."""
    scored = [name for name, job in jobs.items() if job.state == "COMPLETED" and name.startswith(EVALUATE_STEP.name)]
    rows = [(name, job.job, _state(job), _note(job), job.nodes) for name, job in jobs.items() if name not in scored]
    folded: list[tuple[str, str, str, str, str]] = []
    for (_, *state), group in groupby(rows, key=lambda row: (row[0].rstrip("0123456789"), *row[2:])):
        same = list(group)
        first, last = same[0], same[-1]
        if len(same) < FOLDED:
            folded += same
        else:
            folded.append((f"{first[0]}…{last[0].rpartition('-')[2]}", f"{first[1]}…{last[1]}", *state))
    lines = table(("job", "id", "state", "", "nodes"), folded, right=[False] * 5, indent="")
    return [*lines, f"{len(scored)} checkpoint{'s' * (len(scored) > 1)} scored"] if scored else lines


def _state(job: JobState) -> str:
    return "stopped" if job.exit_code == STOPPED else job.state.lower()


def _note(job: JobState) -> str:
    note = job.reason if job.reason not in ("", "None") else ""
    if job.state == "RUNNING":
        note = f"until {_minute(job.end)}"
    elif job.exit_code == STOPPED:
        note = "in good order"
    elif not job.active and job.exit_code not in ("", "0:0"):
        note = f"exit {job.exit_code.split(':')[0]} {note}".rstrip()
    restarts = f"{job.restarts} restart{'s' * (job.restarts > 1)}" if job.restarts else ""
    return ", ".join(part for part in (note, restarts) if part)


def _minute(time: str) -> str:
    """Slurm's time without year and seconds; its own word where it knows none (`N/A`)."""
    try:
        return datetime.fromisoformat(time).strftime("%d %b %H:%M")
    except ValueError:
        return time
