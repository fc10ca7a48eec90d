"""Two people of one group and one run: who launched it is not the only one who can stop it and go on with it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import fill
from tests.slurm.rig.cluster import Cluster
from tests.slurm.rig.files import GROUP_ID, USERS
from tests.slurm.running import ACCOUNT, Desk


@pytest.fixture
def annas_desk(lumi: Cluster) -> Iterator[Desk]:
    """A directory of the group with the setgid bit, as project directories have it."""
    readable = lumi.run(sys.executable, "-c", "import eurolm", expect=None, user="anna")
    if readable.returncode:
        pytest.skip(f"other users cannot read {sys.executable} or eurolm")
    place = Path(tempfile.mkdtemp(prefix="eurolm-colleagues-"))
    fill(place / "work", documents_per_language=60)
    for path in (place, *place.rglob("*")):
        os.chown(path, USERS["anna"], GROUP_ID)
        path.chmod(0o2770 if path.is_dir() else 0o660)
    try:
        yield Desk(lumi, place / "work", "anna")
    finally:
        lumi.tidy()
    shutil.rmtree(place, ignore_errors=True)


def test_a_colleague_stops_a_run_and_goes_on_with_it(annas_desk: Desk) -> None:
    """Slurm lets only Anna cancel her jobs; the run's files let Juris, and his jobs take up her artifacts."""
    juris, cluster = replace(annas_desk, user="juris"), annas_desk.cluster
    config, shape = annas_desk.path / "small.yaml", ("one-rank-a-node.yaml", "cluster.nodes=2")
    hers = annas_desk.launch(config, *shape, "cluster.training_jobs=2")
    assert "under way already" in juris.eurolm("launch", str(config), ACCOUNT, "--cluster", "lumi-g")
    assert "Training jobs of this launch end by themselves" in juris.eurolm("cancel", "small", "--wait", "0")
    for name in ("train-1", "train-2"):
        assert annas_desk.ended(hers[name], "FAILED")["ExitCode"] == "10:0"
        assert "was cancelled" in annas_desk.log(hers[name])
    cluster.wait_for_job(hers["report"], "CANCELLED", seconds=20)

    his = juris.launch(config, *shape)
    assert juris.ended(his["encode"])["UserId"] == f"juris({USERS['juris']})"
    assert "corpus     finished before" in juris.log(his["corpus"])
    assert [event["user"] for event in juris.ledger("small") if event["event"] == "launch"] == ["anna", "juris"]
    cluster.wait_for_job(his["train-1"], "RUNNING", seconds=30)
