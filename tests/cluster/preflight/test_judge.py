"""Verdicts over what ranks report, for faults that this machine cannot have: clocks, fallbacks, traps, lost nodes."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.launch.orders import order

from eurolm.cluster.jobs import TRAIN
from eurolm.cluster.preflight_host import provider_facts
from eurolm.cluster.preflight_judge import Finding, judge, traps
from eurolm.cluster.preflight_record import HostReport, RankReport, limits
from eurolm.cluster.preflight_summary import summary
from eurolm.cluster.profile import load_profile
from eurolm.cluster.render import render

LUMI = load_profile("lumi-g")
NAMES = ("nid005001", "nid005002", "nid005003")
VERSIONS = {"torch": "2.10.0+rocm7.0", "deepspeed": "0.19.8", "rocm": "7.0.2", "container": "lumi-multitorch-x.sif"}


def rank(node: int, local: int, **facts: Any) -> RankReport:
    canary = {"device": "MI250X", "kind": "cuda", "checksums": [7], "seconds": 1.0e-3, "flops": 1e14}
    host = {
        "versions": VERSIONS,
        "bundled_rccl": None,
        "forbidden": {},
        "storage": {"error": None, "write_mb_per_s": 900.0, "free_bytes": 10**13, "free_files": 10**6},
        "accelerator": "cuda",
        "deepspeed_checks_gradients": True,
    }
    measured = {
        "canary": canary,
        "default": True,
        "second": True,
        "clock_offset_s": 0.001,
        "bandwidth": {"bytes": 2**28, "seconds": 0.01, "gb_per_s": 60.0},
        "provider": {"lines": ["NET/OFI Selected Provider is cxi (found 4 nics)"]},
        "host": host if local == 0 else {},
    }
    return RankReport(8 * node + local, local, "done", "end", facts={**measured, **facts})


def hosts(**of_second: Any) -> list[HostReport | None]:
    """Three hosts with eight devices; `of_second` changes what the first rank of the second one measured."""
    reports: list[HostReport | None] = []
    for node, name in enumerate(NAMES):
        ranks = [rank(node, local, **(of_second if node == 1 and local == 0 else {})) for local in range(8)]
        reports.append(HostReport(name, node, ranks))
    return reports


def only(reports: list[HostReport | None]) -> Finding:
    (finding,) = judge(reports, NAMES, LUMI)
    return finding


def test_a_healthy_job_has_no_findings_and_a_short_screen() -> None:
    assert judge(hosts(), NAMES, LUMI) == []
    lines = summary(hosts(), NAMES, [], 40.0, LUMI)
    assert "60.00 GB/s of the 100 GB/s that a node's network has (60%)" in "\n".join(lines)
    assert lines[-1] == "  passed"


@pytest.mark.parametrize(
    ("facts", "check", "message"),
    [
        ({"clock_offset_s": -3.5}, "clock", "nid005002 is -3.5 s off"),
        ({"provider": {"lines": ["NET/Socket : Using [0]hsn0"]}}, "provider", "does not use cxi"),
        ({"default": False}, "all-reduce", "wrong sum on the default group"),
        (
            {"canary": {"device": "MI250X", "kind": "cuda", "checksums": [7], "seconds": 1.2e-3, "flops": 1e14}},
            "canary",
            "+20%",
        ),
        (
            {"canary": {"device": "MI250X", "kind": "cuda", "checksums": [7, 8], "seconds": 1e-3, "flops": 1e14}},
            "canary",
            "checksum 7/8",
        ),
    ],
)
def test_a_fault_of_one_host_is_named_and_the_host_excluded(facts: dict[str, Any], check: str, message: str) -> None:
    finding = only(hosts(**facts))
    assert (finding.check, finding.host, finding.exclude, finding.fatal) == (check, "nid005002", True, True)
    assert message in finding.message


def test_a_device_within_the_limits_is_not_slow() -> None:
    near = {"device": "MI250X", "kind": "cuda", "checksums": [7], "seconds": 1.14e-3, "flops": 1e14}
    assert judge(hosts(canary=near), NAMES, LUMI) == []
    of_a_cpu = {**near, "device": "CPU", "kind": "cpu"}
    slow_cpu = {**of_a_cpu, "seconds": 9e-3}
    mixed = hosts(canary=slow_cpu)
    for report in mixed:
        assert report is not None
        for member in report.ranks[1:]:
            member.facts["canary"] = of_a_cpu
    assert judge(mixed, NAMES, LUMI) == []


def test_room_for_two_checkpoints_is_asked_for() -> None:
    assert judge(hosts(), NAMES, LUMI, checkpoint_bytes=5 * 10**12) == []
    (finding,) = judge(hosts(), NAMES, LUMI, checkpoint_bytes=6 * 10**12)
    assert finding.message == "10,000.0 GB are free where two checkpoints take 12,000.0 GB"
    assert (finding.host, finding.exclude, finding.fatal) == (None, False, True)


def test_a_host_that_never_reports_is_excluded() -> None:
    reports = hosts()
    reports[2] = None
    finding = only(reports)
    assert (finding.host, finding.exclude) == ("nid005003", True)


def test_tcp_everywhere_is_the_software_and_excludes_nobody() -> None:
    reports = hosts()
    for report in reports:
        assert report is not None
        for member in report.ranks:
            member.facts["provider"] = {"lines": ["NET/Socket : Using [0]hsn0"]}
            member.facts["bandwidth"] = {"bytes": 2**28, "seconds": 0.3, "gb_per_s": 1.7}
    found = judge(reports, NAMES, LUMI)
    assert [finding.check for finding in found] == ["provider"] * 3 + ["bandwidth"]
    assert not any(finding.exclude for finding in found)


@pytest.mark.parametrize(
    "line",
    [
        "NET/OFI Selected Provider is cxi (found 4 nics)",
        # aws-ofi-nccl, which images of July 2026 and later have in place of aws-ofi-rccl.
        "NET/OFI Selected provider is cxi, fabric is cxi (found 4 nics)",
    ],
)
def test_both_plugins_of_lumi_prove_the_provider(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the file that NCCL writes to the verdict."""
    monkeypatch.setenv("NCCL_DEBUG_FILE", str(tmp_path / "nccl-%h-%p.log"))
    log = tmp_path / f"nccl-nid005001-{os.getpid()}.log"
    chatter = "".join(f"nid005001:9:9 [0] NCCL INFO NET/OFI Setting {number}\n" for number in range(30))
    log.write_text(f"{chatter}nid005001:9:9 [0] NCCL INFO {line}\nnid005001:9:9 [0] NCCL INFO Bootstrap : Using hsn0\n")
    found = provider_facts()
    assert found["lines"][-1] == line
    reports = hosts()
    for report in reports:
        assert report is not None
        report.ranks[0].facts["provider"] = found
    assert judge(reports, NAMES, LUMI) == []


def test_a_rank_that_died_first_is_to_blame_for_those_that_waited() -> None:
    reports = hosts()
    for report in reports:
        assert report is not None
        report.ranks[:] = [replace(member, state="hung", mark="default group") for member in report.ranks]
    assert reports[1] is not None
    reports[1].ranks[3] = replace(reports[1].ranks[3], state="died", mark="canary", detail="killed by signal 9")
    finding = only(reports)
    assert (finding.host, finding.exclude) == ("nid005002", True)
    assert "device 3 (rank 11) killed by signal 9" in finding.message


def test_known_traps_are_told_and_do_not_stop() -> None:
    versions = {
        "torch": "2.7.0+rocm6.2",
        "deepspeed": "0.18.2",
        "rocm": "7.1.0",
        "container": "x-u24r64f21-20260807.sif",
    }
    found = traps(versions, LUMI)
    assert {finding.message.split(":")[0] for finding in found} == {
        "deepspeed 0.18.2", "torch 2.7.0+rocm6.2", "rocm 7.1.0", "container x-u24r64f21-20260807.sif"
    }  # fmt: skip
    assert not any(finding.fatal for finding in found)
    assert traps({**VERSIONS, "deepspeed": "0.19.20", "torch": "2.61.0"}, LUMI) == []


def test_a_variable_that_hangs_collectives_and_a_bundled_rccl_stop_the_job() -> None:
    reports = hosts()
    for report in reports:
        assert report is not None
        host = report.ranks[0].facts["host"]
        host["forbidden"] = {"NCCL_NET_GDR_LEVEL": "PHB", "ROCR_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"}
        host["bundled_rccl"] = "/user-software/lib/python3.12/site-packages/torch/lib/librccl.so"
    found = judge(reports, NAMES, LUMI)
    assert [finding.check for finding in found] == ["environment", "versions"]
    assert "NCCL_NET_GDR_LEVEL=PHB is set" in found[0].message
    assert "its own RCCL" in found[1].message
    assert all(finding.fatal for finding in found)


def test_an_rccl_inside_the_image_is_the_sites_choice() -> None:
    reports = hosts()
    for report in reports:
        assert report is not None
        report.ranks[0].facts["host"]["bundled_rccl"] = "/opt/venv/lib/python3.12/site-packages/torch/lib/librccl.so"
    (found,) = judge(reports, NAMES, LUMI)
    assert "brings its own RCCL" in found.message and not found.fatal


def test_limits_grow_with_what_must_connect_and_stay_within_the_steps_time() -> None:
    small, large = limits(16), limits(8192)
    assert small["default group"] < 62 and large["default group"] > 400
    assert large["canary"] == small["canary"] == 60, "one device does not wait for others"
    for nodes in (2, 192, 1024):
        text = render(TRAIN, order(nodes=nodes))
        minutes = int(re.findall(r"--time=(\d+) \\", text)[0])
        assert minutes * 60 > sum(limits(8 * nodes).values()) + 60


def test_slow_devices_end_no_run_that_has_been_moved_three_times() -> None:
    slow = {"device": "MI250X", "kind": "cuda", "checksums": [7], "seconds": 1.2e-3, "flops": 1e14}
    (found,) = judge(hosts(canary=slow), NAMES, LUMI)
    assert found.fatal and found.exclude
    (found,) = judge(hosts(canary=slow), NAMES, LUMI, accept_slow=True)
    assert "+20%" in found.message and not found.fatal and not found.exclude
    (wrong,) = judge(hosts(canary={**slow, "seconds": 1e-3, "checksums": [8]}), NAMES, LUMI, accept_slow=True)
    assert wrong.fatal, "a device that computes wrongly is never accepted"


def test_a_kernel_that_does_not_repeat_itself_anywhere_is_no_fault_of_devices() -> None:
    reports = hosts()
    for report in reports:
        assert report is not None
        for member in report.ranks:
            member.facts["canary"] = {**member.facts["canary"], "checksums": [7, 8]}
    (found,) = judge(reports, NAMES, LUMI)
    assert "do not repeat a matrix product" in found.message and not found.fatal
