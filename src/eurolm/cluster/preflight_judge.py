"""From what the ranks reported to what is wrong and where. Pure: no file, no clock.

A node is excluded only when the evidence points at it and not at the majority too: a mistake that every node makes is
the software's, and no list of nodes cures it.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eurolm.cluster.preflight_record import MARKS, HostReport, RankReport
from eurolm.cluster.profile import ClusterProfile

SLOW_SHARE = 0.15
SLOW_REMEDY = "Every step would wait for it: leave the node out."
# A product takes about a millisecond on an accelerator and ten on one core of a CPU, where others may run too.
SLOW_FLOOR_S = {"cpu": 0.010}
ACCELERATOR_FLOOR_S = 0.000_1
CLOCK_LIMIT_S = 2.0
"""Leases go stale after 120 s and a stop is planned in seconds; NTP holds clocks to milliseconds."""
LEAST_BANDWIDTH_SHARE = 0.1
"""Of the node's network: TCP over the same cables stays below it, a healthy plugin far above."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    check: str
    message: str
    remedy: str
    host: str | None = None
    """The node it was found on; null where it is no node's fault."""
    exclude: bool = False
    """Whether a job without this node would pass."""
    fatal: bool = True
    """False for what training can live with."""


Ranks = list[tuple[HostReport, RankReport]]


def judge(
    reports: Sequence[HostReport | None], names: Sequence[str], profile: ClusterProfile, checkpoint_bytes: int = 0,
    *, accept_slow: bool = False,
) -> list[Finding]:  # fmt: skip
    """Findings over all hosts, gravest first. `reports[n]` is null where node n never reported; `names[n]` names it.
    `checkpoint_bytes`: planned size of a checkpoint, 0 where there is no plan. `accept_slow`: no try is left to find
    quicker devices, and a slow training is better than none."""
    found = [
        Finding("report", f"{name} did not report within the limits", "The node is dead or cut off.", name, True)
        for name, report in zip(names, reports, strict=True)
        if report is None
    ]
    hosts = [report for report in reports if report is not None]
    ranks = [(host, rank) for host in hosts for rank in host.ranks]
    checks: list[Callable[[], list[Finding]]] = [
        lambda: _stuck(ranks),
        lambda: _canaries(ranks, accept_slow),
        lambda: _sums(ranks),
        lambda: _clocks(ranks),
        lambda: _storage(hosts, checkpoint_bytes),
        lambda: _software(hosts, profile),
        lambda: _network(hosts, ranks, profile),
    ]
    for check in checks:
        found += check()
    found = _spare_the_majority(found, len(names))
    return sorted(found, key=lambda finding: not finding.fatal)


def _spare_the_majority(found: list[Finding], hosts: int) -> list[Finding]:
    """Exclude nobody when more than half of several nodes would go: then it is not the nodes."""
    if 2 * len({finding.host for finding in found if finding.exclude}) <= max(hosts, 2):
        return found
    return [replace(finding, exclude=False) for finding in found]


def _stuck(ranks: Ranks) -> list[Finding]:
    """Ranks that did not come through. Those that stopped first are to blame; the others waited for them."""
    ended = [(host, rank) for host, rank in ranks if rank.state != "done"]
    if not ended:
        return []
    first = min(_place(rank) for _, rank in ended)
    blamed = [(host, rank) for host, rank in ended if _place(rank) == first]
    passed = len(ranks) - len(blamed)
    mark = MARKS[first] if first < len(MARKS) else "the end"
    own = _own_fault(blamed)
    if own or passed:
        return [_rank_finding(host, rank, mark) for host, rank in own or blamed]
    frames = Counter(rank.detail for _, rank in blamed)
    told = "; ".join(f"{count} at {frame or 'an unknown place'}" for frame, count in frames.most_common())
    odd = [(host, rank) for host, rank in blamed if frames[rank.detail] * 2 < len(blamed)]
    who = f" Other than the rest: {', '.join(_name(host, rank) for host, rank in odd)}." if odd else ""
    return [
        Finding(
            mark,
            f"none of {len(ranks)} ranks came through {mark!r} within its limit ({told}).{who}",
            _cure(mark),
            odd[0][0].host if len(odd) == 1 else None,
        )
    ]


def _own_fault(blamed: Ranks) -> Ranks:
    """Of ranks at one mark: those stopped, stuck in the kernel or killed, which the others then waited for."""
    return [(host, rank) for host, rank in blamed if rank.process_state in ("T", "D") or "signal" in rank.detail]


def _rank_finding(host: HostReport, rank: RankReport, mark: str) -> Finding:
    if rank.state == "died":
        return Finding(
            mark, f"{_name(host, rank)} {rank.detail}", "See its log in the preflight directory.", host.host, True
        )
    state = {"T": "its process is stopped", "D": "its process is stuck in the kernel or a driver"}
    where = state.get(rank.process_state) or f"it stands at {rank.detail or 'an unknown place'}"
    return Finding(
        mark,
        f"{_name(host, rank)} did not come through {mark!r} within its limit: {where}",
        _cure(mark),
        host.host,
        True,
    )


def _cure(mark: str) -> str:
    if mark.startswith("second group"):
        return (
            "A collective on a second process group that blocks for ever is open as laifs-container-recipes issue 44 "
            "(DeepSpeed makes such a group): keep FI_MR_CACHE_MONITOR=userfaultfd, or take another image."
        )
    if mark in ("join", "default group", "clock", "bandwidth"):
        return (
            "Check that nodes reach each other over the interfaces of the profile, and that NCCL_NET_GDR_LEVEL is "
            "unset with ROCm 7."
        )
    return "See the rank's log in the preflight directory."


def _canaries(ranks: Ranks, accept_slow: bool) -> list[Finding]:
    found = []
    kinds: dict[str, list[tuple[HostReport, RankReport, dict[str, Any]]]] = {}
    for host, rank in ranks:
        if canary := rank.facts.get("canary"):
            kinds.setdefault(canary["device"], []).append((host, rank, canary))
    remedy = "The device computes wrongly: leave the node out and tell the operator."
    for kind, answers in kinds.items():
        sums = Counter(tuple(canary["checksums"]) for _, _, canary in answers)
        right, votes = sums.most_common(1)[0]
        typical = statistics.median(canary["seconds"] for _, _, canary in answers)
        floor = SLOW_FLOOR_S.get(answers[0][2]["kind"], ACCELERATOR_FLOOR_S)
        if sum(len(canary["checksums"]) > 1 for _, _, canary in answers) * 2 > len(answers) > 1:
            told = f"most of {len(answers)} {kind} do not repeat a matrix product bit for bit: the library's kernel"
            found.append(Finding("canary", told, "Checksums say nothing here; times were compared.", fatal=False))
            right = ()
        for host, rank, canary in answers:
            known = votes * 2 > len(answers)
            if right and (tuple(canary["checksums"]) != right or len(canary["checksums"]) > 1):
                own = "/".join(str(value) for value in canary["checksums"])
                told = f"its matrix product has checksum {own}, {votes} of {len(answers)} {kind} have {right[0]}"
                found.append(Finding("canary", f"{_name(host, rank)}: {told}", remedy, host.host, known))
            late = canary["seconds"] - typical
            if late > SLOW_SHARE * typical and late > floor:
                told = f"takes {canary['seconds'] * 1e3:.2f} ms for a product, the median is {typical * 1e3:.2f} ms"
                limits = f"({late / typical:+.0%}, limit {SLOW_SHARE:+.0%})"
                wait = "Every step waits for it; the job has been moved three times." if accept_slow else SLOW_REMEDY
                text, new = f"{_name(host, rank)} {told} {limits}", not accept_slow
                found.append(Finding("canary", text, wait, host.host, exclude=new, fatal=new))
    return found


def _sums(ranks: Ranks) -> list[Finding]:
    return [
        Finding(
            "all-reduce",
            f"{_name(host, rank)} received a wrong sum on the {group} group",
            "The network corrupts data: leave the node out and tell the operator.",
            host.host,
            True,
        )
        for host, rank in ranks
        for group in ("default", "second")
        if rank.facts.get(group) is False
    ]


def _clocks(ranks: Ranks) -> list[Finding]:
    return [
        Finding(
            "clock",
            f"the clock of {host.host} is {offset:+.1f} s off the others (limit {CLOCK_LIMIT_S:.0f} s)",
            "Leases and stop times would be misread: leave the node out and tell the operator.",
            host.host,
            True,
        )
        for host, rank in ranks
        if rank.local == 0 and abs(offset := rank.facts.get("clock_offset_s", 0.0)) > CLOCK_LIMIT_S
    ]


def _storage(hosts: list[HostReport], checkpoint_bytes: int) -> list[Finding]:
    found = []
    remedy = "Free space or quota, or set run.workspace to another area."
    areas = [(host, host.facts["storage"]) for host in hosts if host.facts]
    for host, area in areas:
        if area["error"]:
            found.append(Finding("storage", f"{host.host}: {area['error']}", remedy, host.host, True))
    free = [area["free_bytes"] for _, area in areas if not area["error"]]
    # The older checkpoint stays until the newer one is whole.
    if free and min(free) < 2 * checkpoint_bytes:
        told = f"{min(free) / 1e9:,.1f} GB are free where two checkpoints take {2 * checkpoint_bytes / 1e9:,.1f} GB"
        found.append(Finding("storage", told, remedy))
    return found


def _software(hosts: list[HostReport], profile: ClusterProfile) -> list[Finding]:
    found = []
    facts = [(host, host.facts) for host in hosts if host.facts]
    kinds = Counter(str(fact["versions"]) for _, fact in facts)
    for host, fact in facts:
        if str(fact["versions"]) != kinds.most_common(1)[0][0]:
            found.append(
                Finding(
                    "versions",
                    f"{host.host} has other libraries than most: {fact['versions']}",
                    "All nodes must run one image.",
                    host.host,
                    True,
                )
            )
    if not facts:
        return found
    first = facts[0][1]
    for name, value in first["forbidden"].items():
        # Slurm itself sets the masks of devices; of the rest, those of the network are known to hang.
        if name.startswith(("NCCL_", "FI_")):
            found.append(
                Finding(
                    "environment",
                    f"{name}={value} is set: {profile.environment[name].reason}",
                    f"Unset it ({profile.environment[name].source}).",
                )
            )
    if first["bundled_rccl"]:
        told = f"torch brings its own RCCL ({first['bundled_rccl']}), which knows no plugin for this network"
        # Inside the image it is the site's choice: there the provider and the bandwidth decide.
        shadows = not _in_image(first["bundled_rccl"], profile)
        remedy = "Use the image's torch: remove torch from your extra packages."
        found.append(Finding("versions", told, remedy, fatal=shadows))
    if first.get("deepspeed_checks_gradients") is False:
        told = f"DeepSpeed {first['versions']['deepspeed']} looks for non-finite bf16 gradients only when told to"
        found.append(Finding("versions", told, "eurolm tells it to, and checks before each step.", fatal=False))
    return found + traps(first["versions"], profile)


def _in_image(path: str, profile: ClusterProfile) -> bool:
    """Whether a file belongs to the Python environment of the site's image."""
    python = profile.container.python if profile.container else None
    return python is not None and path.startswith(f"{python.removesuffix('/bin/python')}/")


def traps(versions: dict[str, str | None], profile: ClusterProfile) -> list[Finding]:
    """Versions that the profile knows trouble of. Never fatal by themselves: the checks decide."""
    found = []
    for trap in profile.traps:
        version = versions.get(trap.library) or ""
        if trap.version in version if trap.library == "container" else _starts(version, trap.version):
            told = f"{trap.library} {version}: {trap.symptom}"
            found.append(Finding("versions", told, f"{trap.remedy} ({trap.source})", fatal=False))
    return found


def _starts(version: str, wanted: str) -> bool:
    return version.split("+")[0].split(".")[: len(wanted.split("."))] == wanted.split(".")


def _network(hosts: list[HostReport], ranks: Ranks, profile: ClusterProfile) -> list[Finding]:
    found = []
    network = profile.network
    providers = [(host, host.ranks[0].facts.get("provider", {}).get("lines")) for host in hosts if host.ranks]
    for host, lines in providers:
        # aws-ofi-rccl wrote "Selected Provider", aws-ofi-nccl writes "Selected provider".
        proof = (network.provider_proof or "").lower()
        if lines is not None and len(hosts) > 1 and not any(proof in line.lower() for line in lines):
            said = next((line for line in lines if "NET/" in line), "nothing of a network")
            lacks = f"NCCL's log lacks {network.provider_proof!r} and says {said!r}"
            remedy = "Traffic falls back to TCP: use the site's image with its bindings."
            told = f"{host.host} does not use {network.provider}: {lacks}"
            found.append(Finding("provider", told, remedy, host.host, True))
    # The profile's figure is for devices; CPUs reduce over TCP, and nobody trains on them over many nodes.
    measured = [
        rank.facts["bandwidth"]["gb_per_s"] for _, rank in ranks if rank.on_device and "bandwidth" in rank.facts
    ]
    if measured and network.gbit_per_node and len(hosts) > 1:
        least, expected = min(measured), network.gbit_per_node / 8
        if least < LEAST_BANDWIDTH_SHARE * expected:
            found.append(
                Finding(
                    "bandwidth",
                    f"all-reduce moves {least:.1f} GB/s, less than "
                    f"{LEAST_BANDWIDTH_SHARE:.0%} of the node's {expected:.0f} GB/s",
                    "This is what TCP gives: check the network plugin of the image.",
                )
            )
    return found


def _place(rank: RankReport) -> int:
    return MARKS.index(rank.mark) if rank.mark in MARKS else len(MARKS)


def _name(host: HostReport, rank: RankReport) -> str:
    return f"{host.host}, device {rank.local} (rank {rank.rank})"
