"""Why a job waits: Slurm's reason codes in words (squeue manual, "JOB REASON CODES")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from eurolm.cluster.scheduler import JobState
from eurolm.cluster.screen import entry


@dataclass(frozen=True)
class Reason:
    """A reason code, as a pattern."""

    pattern: str
    meaning: str


REASONS = (
    Reason(r"Dependency$", "until the jobs before it have ended"),
    Reason(
        r"Priority|Resources", "its turn has not come, or its nodes are not free; `squeue --start` has Slurm's guess"
    ),
    Reason(r"BeginTime", "Slurm holds a requeued job back for about two minutes"),
    Reason(
        r"(Assoc|QOS)(Grp|Max).*Minutes|.*Billing",
        "the project's budget does not cover it; the command that shows the balance is in `eurolm cluster show NAME`",
    ),
    Reason(
        r"(Assoc|QOS)(Grp|Max).*(Jobs|Submit)",
        "as many jobs run as the user or the project may have: it starts when one ends",
    ),
    Reason(r"(Assoc|QOS)(Grp|Max)", "others of the project use what it may use at a time"),
    Reason(
        r"ReqNodeNotAvail|Nodes.*(DOWN|DRAINED|reserved)",
        "nodes it needs are down or reserved (`scontrol show reservation`), or too many are on exclude.txt",
    ),
    Reason(
        r"Partition(Time|Node)Limit|BadConstraints|InvalidQOS|InvalidAccount|AccountNotAllowed",
        "it never starts: partition, QOS or account do not grant what it asks for; cancel, mend, launch again",
    ),
    Reason(
        r"JobHeld|launch.failed.requeued.held|JobLaunchFailure",
        "it is held, after failing to start: `scontrol release ID`",
    ),
)


def waits(jobs: Mapping[str, JobState]) -> Iterator[str]:
    """A line for each reason that keeps jobs waiting, with the first job it keeps; dependencies last."""
    first: dict[str, str] = {}
    for name, job in jobs.items():
        if job.state == "PENDING":
            first.setdefault(job.reason, name)
    for reason, name in sorted(first.items(), key=lambda item: item[0] == "Dependency"):
        meaning = next((known.meaning for known in REASONS if re.match(known.pattern, reason)), "")
        yield from entry("", f"{name} waits ({reason})" + (f": {meaning}" if meaning else ""), hang=0)
