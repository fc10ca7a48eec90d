"""Slurm's clients: submit, ask, cancel. Every call is a list of arguments; no shell is involved.

What they print differs between versions, so only their documented interfaces for programs are read: `sbatch
--parsable`, `squeue --Format` with named fields, `sacct --parsable2`. JSON output is left alone: its layout changes
with releases, and 22.05 reports wrong exit codes in it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eurolm.errors import MachineError

ACTIVE = frozenset({"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "STOPPED", "RESIZING"})
FIELDS = ("JobID", "State", "Reason", "NodeList", "StartTime", "EndTime", "RestartCnt", "exit_code")
LIMIT_S = 60
UNKNOWN = "UNKNOWN"
GONE = ("already completing or completed", "Invalid job id")
"""What scancel says of a job that has ended by itself meanwhile."""


@dataclass(frozen=True)
class JobState:
    """A job as Slurm tells it."""

    job: str
    state: str
    """Slurm's word (`RUNNING`, `FAILED`, …); UNKNOWN when Slurm has forgotten it."""
    reason: str = ""
    nodes: str = ""
    start: str = ""
    end: str = ""
    restarts: int = 0
    exit_code: str = ""

    @property
    def active(self) -> bool:
        """Whether it waits, runs or ends right now."""
        return self.state in ACTIVE


def sbatch(script: Path, directory: Path, after: str = "") -> str:
    """Submit a script from `directory`; the job's id. Raises MachineError with Slurm's own words."""
    dependency = [f"--dependency={after}"] if after else []
    answer = _call(["sbatch", "--parsable", *dependency, str(script)], directory)
    if answer.returncode != 0:
        raise MachineError(f"sbatch refused {script.name}: {answer.stderr.strip() or answer.stdout.strip()}")
    return answer.stdout.strip().split(";")[0]


def states(jobs: Sequence[str]) -> dict[str, JobState]:
    """State of each job: from squeue, from sacct for those that squeue has forgotten."""
    found = _from_squeue(jobs)
    missing = [job for job in jobs if job not in found]
    return found | _from_sacct(missing) | {job: JobState(job, UNKNOWN) for job in missing if job not in found}


def scancel(jobs: Sequence[str]) -> None:
    """Cancel jobs; ended ones are left alone. Raises MachineError when Slurm refuses."""
    if not jobs:
        return
    answer = _call(["scancel", *jobs])
    refused = [line for line in answer.stderr.splitlines() if not any(text in line for text in GONE)]
    if answer.returncode != 0 and refused:
        raise MachineError(refused[0])


def here() -> bool:
    """Whether Slurm's clients are installed."""
    return shutil.which("sbatch") is not None


def _from_squeue(jobs: Sequence[str]) -> dict[str, JobState]:
    if not jobs:
        return {}
    # squeue fails when it knows none of the jobs that are asked for, hence no check.
    wanted = ",".join(f"{field}:|" for field in FIELDS)
    command = ["squeue", "--noheader", "--states=all", f"--jobs={','.join(jobs)}", f"--Format={wanted}"]
    found = {}
    for line in _call(command).stdout.splitlines():
        job, state, reason, nodes, start, end, restarts, code = line.split("|")[: len(FIELDS)]
        found[job] = JobState(job, state, reason, nodes, start, end, int(restarts or 0), _code(code))
    return found


def _code(text: str) -> str:
    """`4:0` (status:signal), also from the raw wait status that squeue prints."""
    return f"{int(text) >> 8}:{int(text) & 127}" if text.isdigit() else text


def _from_sacct(jobs: Sequence[str]) -> dict[str, JobState]:
    if not jobs or shutil.which("sacct") is None:
        return {}
    fields = "JobID,State,NodeList,Start,End,ExitCode"
    answer = _call(["sacct", "-X", "--noheader", "--parsable2", f"--jobs={','.join(jobs)}", f"--format={fields}"])
    found = {}
    for line in answer.stdout.splitlines():
        job, state, nodes, start, end, code = line.split("|")[:6]
        # "CANCELLED by 1000"
        found[job] = JobState(job, state.split()[0], "", nodes, start, end, 0, code)
    return found


def _call(command: list[str], directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory, timeout=LIMIT_S)
    except FileNotFoundError:
        raise MachineError(
            f"{command[0]} is not installed here. Run this on a login node of the cluster, or use "
            "`eurolm run CONFIG` on this machine."
        ) from None
    except subprocess.TimeoutExpired:
        raise MachineError(
            f"{command[0]} gave no answer within {LIMIT_S} s: Slurm's controller is busy. Try again."
        ) from None
