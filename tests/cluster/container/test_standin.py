"""The stand-in keeps the rules of the real one, so that what runs in it has a chance in an image."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.cluster.container.standin import HAS_SLURM, make_image, search_path, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory that no container shows by itself."""
    with tempfile.TemporaryDirectory(dir="/srv") as place:
        (Path(place) / "data").mkdir()
        (Path(place) / "data" / "file").write_text("seen")
        yield Path(place)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return make_image(tmp_path / "image.sif")


def run(*arguments: str | Path, environment: Mapping[str, str] = {}, expect: int = 0) -> str:
    answer = subprocess.run(
        ["singularity", *arguments],
        env={**os.environ, **environment, "PATH": search_path()},
        capture_output=True, text=True, check=False, cwd="/usr",
    )  # fmt: skip
    assert answer.returncode == expect, answer
    return answer.stdout + answer.stderr


def test_what_is_not_bound_is_not_there(image: Path, outside: Path) -> None:
    file = outside / "data" / "file"
    run("exec", image, "cat", file, expect=1)
    assert run("exec", "--bind", outside / "data", image, "cat", file) == "seen"
    assert run("exec", "-B", f"{outside / 'data'}:/elsewhere", image, "cat", "/elsewhere/file") == "seen"
    assert run("exec", image, "cat", "/elsewhere/file", environment={"SINGULARITY_BIND": f"{outside}/data:/elsewhere"})
    assert "gone doesn't exist" in run("exec", "--bind", outside / "gone", image, "true", expect=255)
    assert "could not open image" in run("run", outside / "none.sif", "true", expect=255)
    assert run("exec", image, "sh", "-c", "exit 7", expect=7) == ""


def test_the_image_cannot_be_written(image: Path) -> None:
    assert "Read-only" in run("exec", image, "touch", "/usr/lib/new", expect=1)
    assert "Read-only" in run("exec", image, "touch", "/new", expect=1)


@pytest.mark.skipif(not HAS_SLURM, reason="no Slurm on the host to be hidden")
def test_slurms_programs_stay_outside(image: Path) -> None:
    run("exec", image, "sh", "-c", "command -v scontrol || command -v squeue || command -v srun", expect=127)


def test_the_environment_follows_the_rules(image: Path) -> None:
    host = {"MASTER_ADDR": "nid1", "PYTHONPATH": "/host", "LD_LIBRARY_PATH": "/host/lib", "SINGULARITYENV_A": "1",
            "SINGULARITYENV_PREPEND_PATH": "/user-software/bin"}  # fmt: skip
    said = run("run", image, "env", environment=host)
    seen = dict(line.split("=", 1) for line in said.splitlines() if re.match(r"\w+=", line))
    assert seen["MASTER_ADDR"] == "nid1"
    assert seen["PYTHONPATH"] == "/host"
    assert seen["LD_LIBRARY_PATH"] == "/.singularity.d/libs"
    assert seen["A"] == "1" and "SINGULARITYENV_A" not in seen
    assert seen["PATH"].startswith("/user-software/bin:") and search_path() not in seen["PATH"]
    assert seen["WITH_VENV"] == "1"
    assert seen["SINGULARITY_CONTAINER"] == str(image)
    clean = run("exec", "--cleanenv", "--env", "B=2", image, "env", environment=host)
    assert "MASTER_ADDR" not in clean and "B=2" in clean and "A=1" in clean and "WITH_VENV" not in clean
