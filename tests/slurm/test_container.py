"""The scripts of a machine with a container: preflight and training run in the image, Slurm's programs stay outside. In
the stand-in's container, and in scripts/apptainer in the real one's."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.container.standin import make_image, search_path
from tests.conftest import fill
from tests.slurm.rig.cluster import Cluster
from tests.slurm.running import HERE, desk

PROFILE = f"""
extends: [{HERE / "one-rank-a-node.yaml"}]
name: in-a-container
container:
  command: [singularity, run]
  image: null
  modules: []
  python: {sys.executable}
  packages: {{}}
  venv_mount: null
  has_slurm_tools: false
  locales: [C.UTF-8]
  forbidden_paths: []
  source: the stand-in of these tests
  confidence: derived
  unknown: {{image: named by the test, venv_mount: not used}}
"""


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A place that no container shows by itself, unlike /tmp and /var/tmp."""
    with tempfile.TemporaryDirectory(dir="/srv", prefix="it's $HOME ") as place:
        yield Path(place)


def test_preflight_and_training_in_a_container(lumi: Cluster, elsewhere: Path) -> None:
    image = make_image(elsewhere / "eurolm.sif")
    workspace = fill(elsewhere / "text", documents_per_language=80)
    profile, config = elsewhere / "machine.yaml", workspace.path / "small.yaml"
    profile.write_text(PROFILE)
    settings = (
        "cluster.account=project_465000000", f"cluster.name={profile}", f"cluster.container={image}", "cluster.nodes=2",
        "mixture.phases.0.tokens=4096",
    )  # fmt: skip
    with desk(lumi, elsewhere / "desk") as here:
        here.eurolm("run", str(config), "mixture.phases.0.tokens=4096", "--until", "tokens")
        here.eurolm("launch", str(config), *settings, "--dry-run")
        run_dir, path = here.run_dir("small"), {"PATH": search_path()}

        look = "import os, shutil; print(shutil.which('scontrol'), os.path.exists('/var/lib'))"
        script = (run_dir / "slurm" / "train.sbatch").read_text()
        python = shlex.split(next(line for line in script.splitlines() if line.startswith("python=("))[8:-1])
        step = ["srun", "-N1", "-n1", "-A", "project_465000000", *python, "-c", look]
        assert lumi.run(*step, cwd=here.path, environment=path).stdout == "None False\n"

        job = lumi.run("sbatch", "--parsable", "slurm/train.sbatch", cwd=run_dir, environment=path).stdout.strip()
        here.ended(job)
        reports = [json.loads(file.read_text()) for file in run_dir.glob(f"preflight/{job}-0/node-*.json")]
        assert {report["host"] for report in reports} == set(lumi.nodes[:2])
        versions = [report["ranks"][0]["facts"]["host"]["versions"]["container"] for report in reports]
        assert versions == [str(image)] * 2
        assert "  passed\n" in here.log(job)
        assert len(here.losses("small")) == 8
        assert (run_dir / "model" / "model.safetensors").is_file()
