"""The words that a job script has before `-m eurolm`, run by the real Apptainer (scripts/apptainer)."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.container.standin import REAL, make_image, search_path
from tests.cluster.launch.orders import order

from eurolm.cluster.jobs import TRAIN
from eurolm.cluster.profile import load_profile
from eurolm.cluster.render import ENVIRONMENT, Order, render, render_all

SAYS = """
import json, os, sys, torch, eurolm
told = {"python": sys.executable, "torch": torch.__file__, "eurolm": eurolm.__file__, "environment": dict(os.environ)}
print(json.dumps(told))
open("written", "w").close()
sys.exit(11)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A place that no container shows by itself."""
    with tempfile.TemporaryDirectory(dir="/srv", prefix="it's $HOME ") as found:
        yield Path(found)


def user_software(place: Path) -> Path:
    """A squashfs with a venv that holds eurolm and takes all else from the image's /opt/venv."""
    venv = place / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", venv], check=True)
    packages = next((venv / "lib").glob("python3*/site-packages"))
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to("/opt/venv/bin/python")
    (packages / "image.pth").write_text(f"/opt/venv/lib/{packages.parent.name}/site-packages\n")
    shutil.copytree(Path(__file__).parents[3] / "src" / "eurolm", packages / "eurolm")
    packed = place / "software.sqsh"
    subprocess.run(["mksquashfs", venv, packed, "-quiet", "-no-progress"], check=True, capture_output=True)
    shutil.rmtree(venv)
    return packed


def run(prepared: Order, *words: str) -> subprocess.CompletedProcess[str]:
    """What a job does first, and then the given words in the place of `-m eurolm`, in the run's workspace."""
    script = render(TRAIN, prepared)
    python = next(line for line in script.splitlines() if line.startswith("python=("))
    environment = prepared.run_dir / "slurm" / ENVIRONMENT
    environment.parent.mkdir(parents=True, exist_ok=True)
    environment.write_text(render_all(prepared, (TRAIN,))[ENVIRONMENT])
    source = f"source {shlex.quote(str(environment))}\n{python}\n" + '"${python[@]}" "$@"'
    host = {"PATH": search_path(), "SLURM_JOB_ID": "7", "MASTER_ADDR": "nid1", "LD_LIBRARY_PATH": "/host/lib"}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", source, "_", *words],
        cwd=prepared.workdir, env={**os.environ, **host}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_rendered_command_finds_what_it_needs_and_nothing_else(place: Path) -> None:
    assert REAL
    for name in ("work", "images", "elsewhere"):
        (place / name).mkdir()
    unbound = place / "elsewhere" / "file"
    unbound.write_text("not seen")
    profile = load_profile("lumi-g")
    assert profile.container is not None and profile.container.venv_mount == "/user-software"
    plain = profile.container.model_copy(update={"modules": []})
    prepared = order(
        profile=profile.model_copy(update={"container": plain}), workdir=place / "work",
        config_file=place / "work" / "run.yaml", container=str(make_image(place / "images" / "eurolm.sif")),
        user_software=str(user_software(place / "images")),
    )  # fmt: skip
    answer = run(prepared, "-c", SAYS)
    assert answer.returncode == 11, answer.stderr
    told = json.loads(answer.stdout)
    assert told["python"] == "/user-software/bin/python"
    assert told["eurolm"].startswith("/user-software/lib/") and told["torch"].startswith("/opt/venv/lib/")
    seen = told["environment"]
    assert seen["MASTER_ADDR"] == "nid1" and seen["LC_ALL"] == "C.UTF-8" and seen["WITH_VENV"] == "1"
    assert seen["LD_LIBRARY_PATH"] == "/.singularity.d/libs"
    assert seen["HF_HOME"] == f"{place}/work/cache/huggingface"
    assert (place / "work" / "written").is_file()
    missing = run(prepared, "-c", f"open({str(unbound)!r})")
    assert missing.returncode == 1 and "FileNotFoundError" in missing.stderr
    version = run(prepared, "-m", "eurolm", "--version")
    assert version.returncode == 0 and version.stdout.startswith("eurolm"), version.stderr
