"""What preflight writes down: the marks every rank passes, a report per rank, one JSON file per host."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from eurolm.artifacts.atomic import read_json, write_json

# Mark → seconds a rank may stay there. Starting and joining wait for the slowest container; the rest takes moments
# on a healthy machine, so a minute is a verdict. The order is the order of the checks.
LIMITS_S: dict[str, float] = {
    "start": 300.0,
    "canary": 60.0,
    "host": 120.0,
    "join": 300.0,
    "default group": 60.0,
    "second group: create": 60.0,
    "second group: all-reduce": 60.0,
    "clock": 30.0,
    "bandwidth": 60.0,
}
MARKS = tuple(LIMITS_S)
PER_RANK_S = 0.05
"""More for everything that connects all ranks: thousands take minutes to build their rings. A planning value."""
CONNECTING = ("join", "default group", "second group: create", "second group: all-reduce")


def limits(ranks: int) -> dict[str, float]:
    """Seconds a rank may stay at each mark in a job of `ranks` ranks."""
    return {mark: limit + PER_RANK_S * ranks * (mark in CONNECTING) for mark, limit in LIMITS_S.items()}


@dataclass(frozen=True)
class Spec:
    """What the ranks of one host are told. All fields are plain values, so that it travels as JSON."""

    host: str
    """Name by which Slurm knows this node."""
    node: int
    """Number of this node in the job, from 0."""
    nodes: int
    devices: int
    """Ranks on this node."""
    address: str
    """Host of rank 0, and its port, where the ranks meet."""
    port: int
    run_dir: str
    masks: list[str] = field(default_factory=list)
    """CPU mask per local rank (hexadecimal), or empty."""
    provider_proof: str | None = None
    """Text that NCCL's log must hold when the right network is used."""
    forbidden: dict[str, str] = field(default_factory=dict)
    """Environment variables that must not be set, with the reason."""


@dataclass(frozen=True)
class RankReport:
    """What became of one rank."""

    rank: int
    local: int
    state: Literal["done", "hung", "died"]
    mark: str
    """The last mark it came to."""
    detail: str = ""
    """How it died; where it stands when it hangs."""
    process_state: str = ""
    """Its state in /proc when it hangs: T is stopped, D is stuck in the kernel or a driver."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What it measured, by mark."""

    @property
    def on_device(self) -> bool:
        """Whether it ran on an accelerator."""
        return bool(self.facts.get("canary", {}).get("kind", "cpu") != "cpu")


@dataclass(frozen=True)
class HostReport:
    """One host."""

    host: str
    node: int
    ranks: list[RankReport]

    @property
    def facts(self) -> dict[str, Any]:
        """What its first rank found out about the host: versions, storage, environment. Empty if it came not so far."""
        first = next((rank for rank in self.ranks if rank.local == 0), None)
        return dict(first.facts.get("host", {})) if first else {}


def write_report(place: Path, report: HostReport) -> None:
    """Write `place`/<node>.json, atomically: it exists when it is whole."""
    write_json(place / f"node-{report.node}.json", asdict(report))


def read_report(place: Path, node: int) -> HostReport | None:
    """The report of a node, or null where there is none yet."""
    try:
        value = read_json(place / f"node-{node}.json")
    except FileNotFoundError:
        return None
    return HostReport(value["host"], value["node"], [RankReport(**rank) for rank in value["ranks"]])
