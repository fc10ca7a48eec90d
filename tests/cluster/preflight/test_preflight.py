"""Preflight of four hosts on this one, with real ranks over gloo: what is healthy passes, what is hurt is named."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from eurolm.cluster.excluded import exclude, excluded_nodes
from eurolm.cluster.preflight import Job, preflight
from eurolm.cluster.preflight_record import LIMITS_S
from eurolm.cluster.profile import load_profile
from eurolm.config.load import load_config
from eurolm.console import Reporter
from eurolm.errors import MachineError

HOSTS = ("nid1", "nid2", "nid3", "nid4")
SHORT_S = 4.0
LIMITS = {**LIMITS_S, "second group: create": SHORT_S, "second group: all-reduce": SHORT_S, "default group": SHORT_S}


@dataclass(frozen=True)
class Outcome:
    """What node 0 concluded."""

    error: str | None
    findings: list[dict[str, Any]]
    screen: str
    run_dir: Path
    seconds: float

    def only(self) -> dict[str, Any]:
        (finding,) = [finding for finding in self.findings if finding["fatal"]]
        return finding


def checked(place: Path, capsys: pytest.CaptureFixture[str], injury: str = "", hosts: int = len(HOSTS)) -> Outcome:
    """Run the supervisors of the first `hosts` hosts at once, their ranks hurt by `injury`."""
    (place / "run.yaml").write_text(f"name: flight\nrun: {{workspace: {place}}}\n")
    config = load_config(place / "run.yaml", ()).config
    (place / "runs" / "flight").mkdir(parents=True)
    command = [sys.executable, str(Path(__file__).with_name("injured_rank.py")), injury]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    errors: list[str] = []

    def host(node: int) -> None:
        job = Job("7-0", HOSTS[node], node, HOSTS[:hosts], "127.0.0.1", port)
        try:
            preflight(config, load_profile("local"), 1, job, Reporter("lines"), LIMITS, command)
        except MachineError as error:
            errors.append(str(error))

    started = time.monotonic()
    threads = [threading.Thread(target=host, args=(node,)) for node in range(hosts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run_dir = place / "runs" / "flight"
    verdict = json.loads((run_dir / "preflight" / "7-0" / "verdict.json").read_text())
    seconds = time.monotonic() - started
    return Outcome(next(iter(errors), None), verdict["findings"], capsys.readouterr().err, run_dir, seconds)


@pytest.mark.long
def test_healthy_hosts_pass_with_their_figures_on_one_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = checked(tmp_path, capsys)
    assert outcome.error is None
    assert [finding for finding in outcome.findings if finding["fatal"]] == []
    assert not (outcome.run_dir / "exclude.txt").exists()
    for word in ("4 nodes, 4 devices", "canary", "all-reduce", "clocks", "free", "torch 2", "passed"):
        assert word in outcome.screen
    assert outcome.screen.count("\n") < 24


def test_a_slow_device_and_a_wrong_product_are_named_and_excluded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = checked(tmp_path, capsys, injury="slow:1,wrong:3")
    told = {finding["host"]: finding["message"] for finding in outcome.findings if finding["fatal"]}
    assert set(told) == {"nid2", "nid4"}
    assert "device 0 (rank 1) takes" in told["nid2"]
    assert "rank 3): its matrix product has checksum" in told["nid4"]
    assert "3 of 4" in told["nid4"]
    assert excluded_nodes(outcome.run_dir) == ["nid2", "nid4"]
    assert (outcome.run_dir / "preflight" / "7-0" / "exclude").read_text() == "nid2,nid4"
    assert outcome.error is not None
    assert "training does not start" in outcome.screen


def test_a_rank_stopped_at_the_second_group_is_named_within_the_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = checked(tmp_path, capsys, injury="stopped:1", hosts=2)
    finding = outcome.only()
    assert finding["host"] == "nid2"
    assert finding["check"] == "second group: create"
    assert "its process is stopped" in finding["message"]
    assert finding["exclude"]
    assert outcome.seconds < 60 + SHORT_S


def test_a_second_group_that_blocks_everywhere_is_nobodys_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = checked(tmp_path, capsys, injury="blocked:*", hosts=2)
    finding = outcome.only()
    assert finding["check"] == "second group: all-reduce"
    assert "none of 2 ranks came through 'second group: all-reduce'" in finding["message"]
    assert "2 at injured_rank.py" in finding["message"]
    assert "issue 44" in finding["remedy"]
    assert "userfaultfd" in finding["remedy"]
    assert finding["host"] is None
    assert not (outcome.run_dir / "exclude.txt").exists()


def test_a_list_of_nodes_keeps_its_reasons_and_each_node_once(tmp_path: Path) -> None:
    assert excluded_nodes(tmp_path) == []
    exclude(tmp_path, [("nid1", "slow\nvery")], "7-0")
    exclude(tmp_path, [("nid1", "again"), ("nid2", "wrong")], "8-0")
    assert excluded_nodes(tmp_path) == ["nid1", "nid2"]
    assert "job 7-0: slow very\n" in (tmp_path / "exclude.txt").read_text()
