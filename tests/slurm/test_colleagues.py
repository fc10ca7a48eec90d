"""Two people of one group and one run: who launched it is not the only one who can stop it and go on with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import fill
from tests.slurm.rig.cluster import Cluster, as_user
from tests.slurm.rig.files import GROUP_ID, USERS
from tests.slurm.running import Desk

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]


@pytest.fixture
def annas_desk(lumi: Cluster) -> Iterator[Desk]:
    """A directory of the group with the setgid bit, as project directories have it."""
    readable = subprocess.run(
        [*as_user("anna"), sys.executable, "-c", "import eurolm"], capture_output=True, check=False
    )
    if readable.returncode:
        pytest.skip(f"other users cannot read {sys.executable} or eurolm")
    place = Path(tempfile.mkdtemp(prefix="eurolm-colleagues-"))
    fill(place / "work")
    for path in (place, *place.rglob("*")):
        os.chown(path, USERS["anna"], GROUP_ID)
        path.chmod(0o2770 if path.is_dir() else 0o660)
    yield Desk(lumi, place / "work", "anna")
    lumi.run("scancel", "--user=anna,juris", expect=None)
    lumi.wait_for(lambda: not lumi.run("squeue", "-h").stdout.strip(), 30, "an empty queue")
    shutil.rmtree(place, ignore_errors=True)


def test_a_colleague_stops_a_run_and_goes_on_with_it(annas_desk: Desk) -> None:
    juris, cluster = replace(annas_desk, user="juris"), annas_desk.cluster
    config = annas_desk.path / "small.yaml"
    longer = (
        config.read_text().replace("tokens: 20_480", "tokens: 5_120_000").replace("max_epochs: 8", "max_epochs: 9999")
    )
    config.write_text(longer)
    jobs = annas_desk.launch(config, "one-rank-a-node.yaml", "cluster.nodes=1", "cluster.training_jobs=2")
    cluster.wait_for(lambda: len(annas_desk.losses("small")) > 3, 200, "steps")
    assert "under way already" in juris.eurolm(
        "launch", str(config), "cluster.account=project_465000000", "--cluster", "lumi-g"
    )
    said = juris.eurolm("cancel", "small", "--wait", "60")
    # Slurm refuses; the run's files do not.
    assert "Training jobs of this launch end by themselves" in said and "did not stop" not in said
    assert annas_desk.ended(jobs["train-1"], "FAILED")["ExitCode"] == "10:0"
    assert annas_desk.ended(jobs["train-2"], "FAILED")["ExitCode"] == "10:0"
    assert "was cancelled" in annas_desk.log(jobs["train-2"])
    reached = annas_desk.losses("small")[-1][0]

    jobs = juris.launch(config, "one-rank-a-node.yaml", "cluster.nodes=1")
    cluster.wait_for(lambda: annas_desk.losses("small")[-1][0] > reached + 3, 200, "steps of the colleague's job")
    assert cluster.jobs()[jobs["train-1"]]["UserId"] == f"juris({USERS['juris']})"
    assert [line["step"] for line in annas_desk.metrics("small") if line["event"] == "resume"] == [reached]
