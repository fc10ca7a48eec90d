"""`eurolm doctor`: why a run does not go on, in one screen: the job that failed, its last words, what they mean."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eurolm.cluster.chain import is_training
from eurolm.cluster.logs import job_log, last_lines, rank_logs
from eurolm.cluster.scheduler import JobState
from eurolm.cluster.screen import entry, width
from eurolm.cluster.status import Status
from eurolm.cluster.waiting import waits

READ_LINES, SHOWN_LINES = 400, 12
WORDS = re.compile(r"\s*(error:|stopped:|Traceback|slurmstepd: error|Current thread)")
"""How a line begins that says what happened."""
SILENT_S = 900.0
SILENT_STEPS = 20
"""A running training that writes nothing for so long, and for so many of its steps, hangs: collectives on LUMI can
block for ever without an error (LUMI-AI-Guide pull request 118; laifs-container-recipes issues 28, 30 and 44)."""


@dataclass(frozen=True)
class Sign:
    """A text in a log that tells more than it says."""

    pattern: str
    meaning: str
    remedy: str


# Sources: facts of the sites' own guides, named in the machine profiles where a variable or an image is the cure.
SIGNS = (
    Sign(r"Cassini Event Queue overflow", "the network card's event queue is too short for this job",
         "raise FI_CXI_DEFAULT_CQ_SIZE in a profile of your own (LumiOpen used 262144)"),
    Sign(r"[Dd]isk quota exceeded|EDQUOT", "a storage area is full, or has too many files",
         "see where it wrote; caches belong in the workspace, never in $HOME"),
    Sign(r"No space left on device", "a disk is full; on nodes without one, /tmp is memory",
         "free the workspace, or ask for more memory"),
    Sign(r"oom-kill|Out Of Memory|oom_kill", "the node's memory ran out",
         "lower train.micro_batch_rows or the workers of the stage, or take more nodes"),
    Sign(r"(HIP|CUDA) out of memory|OutOfMemoryError", "the memory of a device ran out",
         "lower train.micro_batch_rows, raise train.zero_stage or train.activation_checkpointing; see eurolm plan"),
    Sign(r"DUE TO TIME LIMIT", "the job ran into its time limit without stopping in time",
         "what is finished stays: launch again; shorten train.save_every_minutes if the last checkpoint is old"),
    Sign(r"[Nn]ode failure on|NODE_FAIL|DUE TO NODE FAILURE", "a node died",
         "nothing: the job starts again and resumes"),
    Sign(r"Task launch .*failed on node", "Slurm could not start a task on a node that it counts among the living",
         "nothing: the job starts again, and without that node when it happens again"),
    Sign(r"no rank has written anything", "a collective waits for ever: a sick node, the network, or the image",
         "nothing once: the next job of the chain resumes. Again: exclude the node whose rank stands elsewhere than "
         "the others, or take another image (cluster.container)"),
    Sign(r"Invalid account or account/partition|Invalid qos|Invalid partition",
         "Slurm knows no such account, QOS or partition",
         "check cluster.account, cluster.partition and cluster.qos"),
    Sign(r"(Name or service not known|Temporary failure in name resolution)",
         "a node could not find the first node by name",
         "the job script takes it from scontrol; look for a proxy or a resolver problem of the site"),
    Sign(r"No module named '?eurolm", "the job's Python has no eurolm",
         "set cluster.environment (bare) or cluster.user_software (container); see docs/lumi.md"),
    Sign(r"(singularity|apptainer).*(command not found|not found)|could not open image|No such file.*\.sif",
         "the container cannot be started", "check cluster.container and the profile's modules"),
    Sign(r"NCCL WARN.*(timeout|unhandled)|Watchdog caught collective|ncclSystemError", "a collective hung or failed",
         "a sick node or the network: run the preflight job again, and exclude the node it names"),
    Sign(r"Lmod has detected|ModuleCmd.*ERROR|Unable to locate a modulefile",
         "a module of the profile does not exist any more",
         "sites rename them after maintenance: set them in a profile of your own"),
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    job: str
    what: str
    log: Path | None
    words: list[str]
    signs: list[Sign]


def examine(found: Status, now: float) -> list[Finding]:
    """What is wrong: jobs that failed, that hang, that can never start. A stage's failure is the cause of what comes
    after it; of a chain the last failure counts. `now` in unix seconds."""
    stages = [name for name in found.failed if not is_training(name)]
    chain = [name for name in reversed(found.failed) if is_training(name)]
    findings = [_failed(found, name) for name in [*stages, *chain]]
    findings += [finding for name in found.jobs if (finding := _silent(found, name, now)) is not None]
    for name, job in found.jobs.items():
        if job.reason == "DependencyNeverSatisfied":
            findings.append(Finding(name, "waits for a job that will never succeed", None, [], []))
    return findings


def shown(found: Status, findings: list[Finding]) -> list[str]:
    """The screen."""
    if not findings:
        lines = [f"{found.name}: no job failed."]
        if found.launch.cancelled:
            lines.append("The run was cancelled; `eurolm launch` goes on where it was.")
        return [*lines, *waits(found.jobs)]
    lines = []
    for finding in findings[:2]:
        lines += entry("", f"{finding.job} {finding.what}", hang=0)
        lines += [line for word in finding.words for line in _quoted(word)]
        for sign in finding.signs:
            lines += [
                *entry("→", sign.meaning, hang=12, first="  "),
                *entry("remedy", sign.remedy, hang=12, first="  "),
            ]
        if finding.log is not None:
            lines += entry("whole log", str(finding.log), hang=12, first="  ")
        lines.append("")
    if len(findings) > 2:
        lines += entry("", f"also: {', '.join(finding.job for finding in findings[2:])}", hang=0)
    cancelled = [name for name, job in found.jobs.items() if job.state == "CANCELLED"]
    going = [f"{name} ({job.state.lower()})" for name, job in found.jobs.items() if job.active]
    if going:
        lines += entry("", f"The run goes on: {', '.join(going[:3])}{' …' if len(going) > 3 else ''}", hang=0)
        lines += [line for line in waits(found.jobs) if "(Dependency)" not in line]
    elif cancelled:
        lines += entry("", f"cancelled because of it: {', '.join(cancelled)}", hang=0)
    if not going:
        lines.append("Nothing is running. Mend the cause, then give the same `eurolm launch` again.")
    return lines


def _quoted(words: str) -> Iterator[str]:
    """A line of a log: an error in full, another one with its middle left out where it is too long."""
    room = width() - 4
    if words.lstrip().startswith("error:") or len(words) <= room:
        yield from entry("", words, hang=4)
    else:
        yield f"    {words[: room // 3]} … {words[-(room - room // 3 - 3) :]}"


def _failed(found: Status, name: str) -> Finding:
    job = found.jobs[name]
    log = job_log(found.launch, name)
    ranks = rank_logs(found.launch, job.job) if is_training(name) else []
    # The job's own log names the cause where eurolm could; a crash is told by the rank that wrote last.
    texts = [last_lines(path, READ_LINES) for path in (log, *ranks[:4])]
    words = _words(texts[0]) + (_words(texts[1], 6) if job.exit_code.startswith(("13:", "14:")) and ranks else [])
    whole = "\n".join(line for text in texts for line in text)
    signs = [sign for sign in SIGNS if re.search(sign.pattern, whole)]
    return Finding(name, _how(found.launch.run_dir, job), log if log.exists() else None, words, signs)


def _silent(found: Status, name: str, now: float) -> Finding | None:
    """A running training job that has written nothing for long."""
    job, run_dir = found.jobs[name], found.launch.run_dir
    if job.state != "RUNNING" or not is_training(name):
        return None
    log, ranks = job_log(found.launch, name), rank_logs(found.launch, job.job)
    written = [path.stat().st_mtime for path in (run_dir / "metrics.jsonl", log, *ranks) if path.exists()]
    step_s = found.progress.step_s if found.progress is not None else None
    quiet = now - max(written, default=now)
    if quiet < max(SILENT_S, SILENT_STEPS * (step_s or 0.0)):
        return None
    what = f"(job {job.job} on {job.nodes}) runs, but has written nothing for {quiet / 60:,.0f} minutes: it hangs"
    words = _words(last_lines(ranks[0], READ_LINES), 6) if ranks else []
    remedy = (
        f"eurolm cancel {run_dir.name}, then launch again: the preflight tries both process groups and names bad nodes"
    )
    return Finding(name, what, ranks[0] if ranks else None, words, [Sign("", "a collective waits for ever", remedy)])


def _how(run_dir: Path, job: JobState) -> str:
    code = job.exit_code.split(":")[0]
    meaning = {
        "2": "bad config or input", "11": "the receipt of a checkpoint failed", "12": "numerics",
        "13": "a hang", "14": "the environment failed",
    }.get(code)  # fmt: skip
    said = _verdict(run_dir, job)
    text = f"(job {job.job} on {job.nodes or 'no node'}) {job.state.lower()}"
    text += f", exit {code}" + (f": {meaning}" if meaning else "") if code not in ("", "0") else ""
    return f"{text}. {said}" if said else text


def _verdict(run_dir: Path, job: JobState) -> str:
    """What the ranks said of their end; empty where they could not."""
    verdicts = sorted(run_dir.glob(f"verdict-{job.job}-*.json"), key=lambda path: path.stat().st_mtime_ns)
    try:
        return str(json.loads(verdicts[-1].read_bytes())["message"]) if verdicts else ""
    except (ValueError, KeyError, OSError):
        return ""


def _words(lines: list[str], count: int = SHOWN_LINES) -> list[str]:
    """The error and what stands around it, else the last lines; without the noise of a progress display."""
    lines = [line[:400] for line in lines if line.strip()]
    errors = [i for i, line in enumerate(lines) if WORDS.match(line)]
    start = max(0, errors[-1] - 2) if errors else max(0, len(lines) - count)
    return lines[start : start + count]
