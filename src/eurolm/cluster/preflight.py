"""Preflight: minutes on all nodes of a job before training may have hours of them.

On every node one supervisor (this) runs one rank per device under a clock. The supervisor of node 0 gathers what all of
them wrote, judges, names bad nodes and puts them on the run's list; the job script requeues the job without them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from eurolm.artifacts.atomic import write_json, write_text
from eurolm.artifacts.ledger import record
from eurolm.artifacts.paths import make_writable
from eurolm.cluster.excluded import exclude, excluded_nodes
from eurolm.cluster.plan_record import read_plan
from eurolm.cluster.preflight_judge import Finding, judge
from eurolm.cluster.preflight_record import HostReport, Spec, limits, read_report, write_report
from eurolm.cluster.preflight_summary import summary
from eurolm.cluster.preflight_supervise import COMMAND, supervise
from eurolm.cluster.profile import ClusterProfile
from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.errors import ConfigError, MachineError

DIRECTORY, VERDICT, EXCLUDE = "preflight", "verdict.json", "exclude"
GRACE_S = 15.0
MOST_MOVES = 3
"""Times that one job starts again without nodes that preflight found bad; slurm/preflight.sh.j2 counts them too."""


@dataclass(frozen=True)
class Job:
    """Where this supervisor runs."""

    name: str
    """`<job>-<restart>`."""
    host: str
    node: int
    hosts: tuple[str, ...]
    address: str
    port: int

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> Job:
        """The job that the job script and Slurm describe. Raises ConfigError outside one."""
        try:
            hosts = tuple(environment["EUROLM_HOSTS"].split())
            return Job(
                name=f"{environment['SLURM_JOB_ID']}-{environment.get('SLURM_RESTART_COUNT', '0')}",
                host=environment["SLURMD_NODENAME"],
                node=int(environment["SLURM_NODEID"]),
                hosts=hosts,
                address=hosts[0],
                port=int(environment["EUROLM_PREFLIGHT_PORT"]),
            )
        except (KeyError, IndexError) as error:
            raise ConfigError(
                f"preflight runs inside a job, where {error} is set. `eurolm launch` puts it before training."
            ) from None


def preflight(
    config: Config,
    profile: ClusterProfile,
    devices: int,
    job: Job,
    reporter: Reporter,
    within: Mapping[str, float] | None = None,
    command: Sequence[str] = COMMAND,
) -> None:
    """Check this host; on node 0 all of them. Raises MachineError there when training should not start.

    Returns within the sum of the limits, in seconds per mark; `within` replaces those of the job's size.
    """
    run_dir = config.run.workspace.resolve() / "runs" / config.name
    place = run_dir / DIRECTORY / job.name
    make_writable(place)
    if "NCCL_DEBUG_FILE" in os.environ:
        Path(os.environ["NCCL_DEBUG_FILE"]).parent.mkdir(parents=True, exist_ok=True)
    spec = Spec(
        host=job.host,
        node=job.node,
        nodes=len(job.hosts),
        devices=devices,
        address=job.address,
        port=job.port,
        run_dir=str(run_dir),
        masks=profile.cores.device_masks,
        provider_proof=profile.network.provider_proof,
        forbidden={name: variable.reason for name, variable in profile.environment.items() if variable.value is None},
    )
    started, allowed = time.monotonic(), within or limits(len(job.hosts) * devices)
    write_report(place, supervise(spec, place, allowed, command))
    if job.node == 0:
        reports = _gather(place, len(job.hosts), until=started + sum(allowed.values()) + GRACE_S)
        plan = read_plan(run_dir)
        moved = len(list(place.parent.glob(f"{job.name.partition('-')[0]}-*/{EXCLUDE}")))
        size = plan.checkpoint_bytes if plan else 0
        found = judge(reports, job.hosts, profile, size, accept_slow=moved >= MOST_MOVES)
        _conclude(config, run_dir, place, job, found)
        for line in summary(reports, job.hosts, found, time.monotonic() - started, profile):
            reporter.say(line)
        fatal = [finding for finding in found if finding.fatal]
        if fatal:
            raise MachineError(_message(fatal, place))


def _gather(place: Path, nodes: int, until: float) -> list[HostReport | None]:
    """Reports of all nodes, waited for as long as any could still be at work."""
    reports = [read_report(place, node) for node in range(nodes)]
    while None in reports and time.monotonic() < until:
        time.sleep(0.2)
        reports = [report or read_report(place, node) for node, report in enumerate(reports)]
    return reports


def _conclude(config: Config, run_dir: Path, place: Path, job: Job, found: list[Finding]) -> None:
    """Write the verdict, the run's list of nodes, and what the job script reads: all nodes to avoid, if any is new."""
    bad = [(f.host, f"{f.check}: {f.message}") for f in found if f.exclude and f.host]
    write_json(place / VERDICT, {"hosts": list(job.hosts), "findings": [asdict(finding) for finding in found]})
    told = [f"{finding.check}: {finding.message}" for finding in found]
    excluded = sorted({host for host, _ in bad})
    record(run_dir, "preflight", job=job.name, hosts=len(job.hosts), findings=told, excluded=excluded)
    if bad:
        exclude(run_dir, bad, job.name)
        avoid = dict.fromkeys((*config.cluster.exclude, *excluded_nodes(run_dir)))
        write_text(place / EXCLUDE, ",".join(avoid))


def _message(fatal: list[Finding], place: Path) -> str:
    """The gravest finding with its remedy; the summary above has the others."""
    first, others = fatal[0], len(fatal) - 1
    more = f" ({others} more above)" if others else ""
    excluded = f" {first.host} is on the run's exclude list." if first.exclude else ""
    return f"preflight, {first.check}: {first.message}{more}. {first.remedy}{excluded} All reports: {place}"
