"""What Slurm answers and refuses, as eurolm reads it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.slurm.rig.cluster import Cluster
from tests.slurm.running import ACCOUNT, Desk, desk


@pytest.fixture
def at_desk(lumi: Cluster, tmp_path: Path) -> Iterator[Desk]:
    with desk(lumi, tmp_path / "work") as place:
        yield place


def test_states_of_jobs_that_ended_wait_and_never_were(at_desk: Desk) -> None:
    cluster = at_desk.cluster
    script = at_desk.path / "job.sh"
    script.write_text('#!/bin/bash\nsleep "$1"\nexit "$2"\n')
    submit = ("sbatch", "--parsable", "--output=/dev/null")
    failed = cluster.run(*submit, str(script), "0", "12", cwd=at_desk.path).stdout.strip()
    cluster.wait_for_job(failed, "FAILED")
    waiting = cluster.run(*submit, "--begin=now+1hour", str(script), "0", "0", cwd=at_desk.path).stdout.strip()
    running = cluster.run(*submit, str(script), "60", "0", cwd=at_desk.path).stdout.strip()
    cluster.wait_for_job(running, "RUNNING")
    code = (
        "import json, sys; from dataclasses import asdict; from eurolm.cluster.scheduler import states\n"
        "print(json.dumps({job: asdict(state) for job, state in states(sys.argv[1:]).items()}))"
    )
    told = json.loads(cluster.run(sys.executable, "-c", code, failed, waiting, running, "999999").stdout)
    assert (told[failed]["state"], told[failed]["exit_code"]) == ("FAILED", "12:0")
    assert (told[waiting]["state"], told[waiting]["reason"]) == ("PENDING", "BeginTime")
    assert told[running]["state"] == "RUNNING" and told[running]["nodes"] == "nid005001"
    assert told["999999"]["state"] == "UNKNOWN"


def test_a_refused_job_takes_those_before_it_back(at_desk: Desk) -> None:
    """A partition that exists in the profile only: corpus and encode are submitted, training is refused."""
    profile = at_desk.path / "renamed.yaml"
    parent = Path(__file__).parent / "lumi-shaped.yaml"
    profile.write_text(f"extends: ['{parent}']\nqueues: {{standard: {{partition: standard-x}}}}\n")
    config = at_desk.path / "run.yaml"
    config.write_text("name: refused\nmixture: {phases: [{tokens: 8192, row_tokens: 64, batch_rows: 8}]}\n")
    said = at_desk.eurolm("launch", str(config), ACCOUNT, f"cluster.name={profile}", expect=14)
    assert "sbatch refused train.sbatch" in said and "invalid partition" in said
    jobs = at_desk.jobs("refused")
    assert list(jobs) == ["corpus", "encode"]
    for job in jobs.values():
        at_desk.cluster.wait_for_job(job, "CANCELLED", "FAILED", seconds=20)
    # Nothing is in the way of the next try.
    again = at_desk.eurolm("launch", str(config), ACCOUNT, f"cluster.name={parent}", "--dry-run")
    assert "written to" in again
