"""What preflight tells a person: one screen."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from eurolm.cluster.preflight_judge import Finding
from eurolm.cluster.preflight_record import HostReport
from eurolm.cluster.profile import ClusterProfile

MOST_FINDINGS = 12


def summary(
    reports: Sequence[HostReport | None],
    names: Sequence[str],
    found: Sequence[Finding],
    seconds: float,
    profile: ClusterProfile,
) -> list[str]:
    """Lines: what was measured, then each finding with its remedy."""
    ranks = [rank for report in reports if report for rank in report.ranks]
    hosts = [report.facts for report in reports if report and report.facts]
    lines = [f"preflight of {len(names)} nodes, {len(ranks)} devices, {seconds:.0f} s"]
    if canaries := [rank.facts["canary"] for rank in ranks if "canary" in rank.facts]:
        times = [canary["seconds"] * 1e3 for canary in canaries]
        kinds = ", ".join(sorted({canary["device"] for canary in canaries}))
        lines.append(f"  canary      {statistics.median(times):.2f} ms, slowest {max(times):.2f} ms ({kinds})")
    if rates := [rank.facts["bandwidth"]["gb_per_s"] for rank in ranks if "bandwidth" in rank.facts]:
        compared = _of_network(min(rates), len(names), profile) if ranks[0].on_device else " over TCP, between CPUs"
        lines.append(f"  all-reduce  {min(rates):.2f} GB/s{compared}")
    if offsets := [abs(rank.facts["clock_offset_s"]) for rank in ranks if "clock_offset_s" in rank.facts]:
        lines.append(f"  clocks      within {max(offsets) * 1e3:.0f} ms")
    if hosts:
        lines += [f"  storage     {_storage(hosts)}", f"  libraries   {_versions(hosts[0]['versions'])}"]
    for finding in found[:MOST_FINDINGS]:
        lines.append(f"  {'WRONG' if finding.fatal else 'note '}  {finding.check}: {finding.message}")
        lines.append(f"         {finding.remedy}{' Excluded.' if finding.exclude else ''}")
    if len(found) > MOST_FINDINGS:
        lines.append(f"  and {len(found) - MOST_FINDINGS} more in the preflight directory")
    passed = not any(finding.fatal for finding in found)
    return [*lines, "  passed" if passed else "  training does not start on these nodes"]


def _of_network(rate: float, nodes: int, profile: ClusterProfile) -> str:
    if nodes < 2:
        return " inside one node"
    if profile.network.gbit_per_node is None:
        return f" (the profile of {profile.name} has no figure to compare with)"
    whole = profile.network.gbit_per_node / 8
    return f" of the {whole:.0f} GB/s that a node's network has ({rate / whole:.0%})"


def _storage(hosts: list[dict[str, Any]]) -> str:
    found = [host["storage"] for host in hosts if not host["storage"]["error"]]
    if not found:
        return "cannot be written"
    slowest, free = min(entry["write_mb_per_s"] for entry in found), min(entry["free_bytes"] for entry in found)
    files = min(entry["free_files"] for entry in found)
    return f"{slowest:.0f} MB/s per node written and synced, {free / 1e9:,.0f} GB and {files:,} files free"


def _versions(versions: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)
