"""Two people of one group and one run: who launched it is not the only one who can stop it and go on with it."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import Workspace, fill
from tests.slurm.rig.cluster import Cluster
from tests.slurm.rig.files import GROUP_ID, USERS
from tests.slurm.running import ACCOUNT, Desk


@pytest.fixture
def annas_desk(lumi: Cluster) -> Iterator[Desk]:
    """A directory of the group with the setgid bit, as project directories have it."""
    readable = lumi.run(sys.executable, "-c", "import eurolm", expect=None, user="anna")
    if readable.returncode:
        pytest.skip(f"other users cannot read {sys.executable} or eurolm")
    place = Path(tempfile.mkdtemp(prefix="desk-", dir=lumi.layout.root))
    fill(place / "work")
    for path in (place, *place.rglob("*")):
        os.chown(path, USERS["anna"], GROUP_ID)
        path.chmod(0o2770 if path.is_dir() else 0o660)
    try:
        yield Desk(lumi, place / "work", "anna")
    finally:
        lumi.tidy()
    shutil.rmtree(place, ignore_errors=True)


def test_a_colleague_stops_a_run_and_goes_on_with_it(annas_desk: Desk, finished_workspace: Workspace) -> None:
    """Anna's job ends at its time limit, and her next one begins. Slurm lets only her cancel that; the run's files let
    Juris, and his jobs take up her artifacts and her checkpoint: the losses are those of one undisturbed run."""
    juris, cluster = replace(annas_desk, user="juris"), annas_desk.cluster
    config, shape = annas_desk.path / "small.yaml", ("one-rank-a-node.yaml", "cluster.nodes=2")
    hers = annas_desk.launch(config, *shape, "cluster.training_jobs=2")
    assert "under way already" in juris.eurolm("launch", str(config), ACCOUNT, "--cluster", "lumi-g")
    cluster.wait_for(lambda: bool(annas_desk.checkpoints("small")), 240, "a first checkpoint")
    cluster.run("scancel", "--signal=USR1", "--batch", hers["train-1"])
    assert annas_desk.ended(hers["train-1"], "FAILED")["ExitCode"] == "10:0"
    saved = annas_desk.checkpoints("small")[-1]

    screen = juris.eurolm("status", "small")
    assert f"step {saved} of 40" in screen and "in good order" in screen
    assert f"stopped at step {saved} of 40 and saved" in juris.eurolm("logs", "small", "--job", "train-1")
    assert "no job failed" in juris.eurolm("doctor", "small")
    assert "Training jobs of this launch end by themselves" in juris.eurolm("cancel", "small", "--wait", "0")
    assert annas_desk.ended(hers["train-2"], "FAILED")["ExitCode"] == "10:0"
    cluster.wait_for_job(hers["report"], "CANCELLED", seconds=20)
    assert closed_to_the_group(annas_desk) == []

    his = juris.launch(config, *shape)
    assert juris.ended(his["train-1"])["UserId"] == f"juris({USERS['juris']})"
    assert "corpus     finished before" in juris.log(his["corpus"])
    assert [event["user"] for event in juris.ledger("small") if event["event"] == "launch"] == ["anna", "juris"]
    assert [line["step"] for line in juris.metrics("small") if line["event"] == "resume"][-1] >= saved
    assert juris.losses("small") == finished_workspace.losses()
    assert closed_to_the_group(juris) == []


def closed_to_the_group(place: Desk) -> list[str]:
    """What is of another group, or not for all of the group to change, or open to others."""
    wrong = []
    for path in (*place.path.rglob("store/**/*"), *place.path.rglob("runs/**/*")):
        found = path.lstat()
        needed = 0o2770 if stat.S_ISDIR(found.st_mode) else 0o660
        if not path.is_symlink() and (found.st_gid != GROUP_ID or found.st_mode & (needed | 0o007) != needed):
            wrong.append(f"{oct(found.st_mode)} {found.st_gid} {path}")
    return wrong
