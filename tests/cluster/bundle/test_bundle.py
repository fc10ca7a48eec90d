"""A bundle is packed from a run, carried elsewhere, checked, installed without internet and recognised as finished."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Workspace, fill

from eurolm.cluster.bundle import transfer_command
from eurolm.cluster.bundle_wheels import LEFT_OUT, closure

INSTALL = Path(__file__).parents[3] / "slurm" / "install.sh"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path, str]:
    """The workspace of a run with finished shards, its bundle with the wheels of the light base, and what was said."""
    workspace = fill(tmp_path_factory.mktemp("bundle") / "work", documents_per_language=80)
    workspace.run("run", "small.yaml", "--until", "tokens")
    said = workspace.run("bundle", "small.yaml", "--cluster", "leonardo", "--extras", "")
    return workspace, workspace.path / "small-for-leonardo", said


def carried(bundle: Path, to: Path) -> Path:
    shutil.copytree(bundle, to)
    return to


def install(bundle: Path, *, offline: bool = True) -> subprocess.CompletedProcess[str]:
    """Without any network where this user may take it away."""
    alone = ["unshare", "--net"] if offline and os.geteuid() == 0 else []
    command = [*alone, str(bundle / "install.sh"), sys.executable]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def test_a_carried_bundle_installs_without_internet_and_makes_nothing_again(
    packed: tuple[Workspace, Path, str], tmp_path: Path
) -> None:
    workspace, bundle, _ = packed
    there = carried(bundle, tmp_path / "there")
    answer = install(there)
    assert answer.returncode == 0, answer.stderr
    assert "installed: eurolm, version" in answer.stdout
    shown = subprocess.run(
        [there / "venv" / "bin" / "eurolm", "config", "explain", "config.yaml"],
        capture_output=True, text=True, check=True, cwd=there,
    ).stdout  # fmt: skip
    assert "leonardo" in shown
    # What the machine brings shows through: torch is that of the Python it was installed over.
    where = [there / "venv" / "bin" / "python", "-c", "import torch; print(torch.__file__)"]
    assert subprocess.run(where, capture_output=True, text=True, check=True).stdout.startswith(sys.prefix)
    assert str(workspace.path) not in (there / "config.yaml").read_text()

    before = {path: path.stat().st_mtime_ns for path in (there / "store" / "packed").iterdir()}
    assert before
    Workspace(there).run("run", "config.yaml", "--until", "tokens")
    assert {path: path.stat().st_mtime_ns for path in (there / "store" / "packed").iterdir()} == before
    assert not (there / "store" / "corpus").exists()
    (packs,) = there.glob("store/packs/*/packs.json")
    (original,) = workspace.path.glob("store/packs/*/packs.json")
    assert packs.read_bytes() == original.read_bytes()


def test_a_changed_file_is_found_before_anything_is_installed(
    packed: tuple[Workspace, Path, str], tmp_path: Path
) -> None:
    there = carried(packed[1], tmp_path / "there")
    shard = next(there.glob("tokens/**/*.bin"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.unlink()
    shard.write_bytes(data)
    answer = install(there)
    assert answer.returncode == 2
    assert f"{shard.relative_to(there)}: FAILED" in answer.stdout
    assert "damaged or was changed" in answer.stderr
    assert not (there / "venv").exists()


def test_another_python_is_refused(packed: tuple[Workspace, Path, str], tmp_path: Path) -> None:
    there = carried(packed[1], tmp_path / "there")
    about = json.loads((there / "bundle.json").read_text())
    (there / "bundle.json").write_text(json.dumps({**about, "python": "3.9"}))
    sums = subprocess.run(["sha256sum", "bundle.json"], cwd=there, capture_output=True, text=True, check=True).stdout
    lines = [line for line in (there / "SHA256SUMS").read_text().splitlines() if not line.endswith("  bundle.json")]
    (there / "SHA256SUMS").write_text("\n".join([*lines, sums]))
    answer = install(there)
    assert answer.returncode == 14
    assert "these wheels are for Python 3.9" in answer.stderr


def test_what_is_said(packed: tuple[Workspace, Path, str]) -> None:
    said = packed[2]
    assert "the profile names no HOST for transfers" in said
    assert "torch" in said.split("brings them:")[1].splitlines()[0]
    assert "eurolm-" in said.split("wheels: ")[1].splitlines()[0]
    assert transfer_command(Path("b"), "h.example").endswith("b h.example:TARGET/")


def test_wheels_are_all_that_the_extras_need_and_never_torch() -> None:
    full = closure("eurolm", ("train", "eval"))
    assert {"transformers", "tokenizers", "polars", "distributed", "safetensors", "numpy"} <= set(full)
    assert not set(full) & LEFT_OUT
    assert not [name for name in full if name.startswith("nvidia")]
    assert set(closure("eurolm", ())) < set(full)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_installer_is_clean() -> None:
    answer = subprocess.run(["shellcheck", INSTALL], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
