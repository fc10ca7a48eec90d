"""A container extended by eurolm and its extras: the image's torch stays the one that is loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.cluster.container.standin import PREFIX, REAL, make_image, search_path, why_not

SCRIPT = Path(__file__).parents[3] / "scripts" / "container-extension"
pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=why_not() or ""),
    pytest.mark.skipif(
        shutil.which("mksquashfs") is None, reason="mksquashfs missing (apt-get install squashfs-tools)"
    ),
]


@pytest.mark.long
def test_the_extension_holds_eurolm_and_not_torch(tmp_path: Path) -> None:
    image, out = make_image(tmp_path / "image.sif"), tmp_path / "extension.sqsh"
    environment = {**os.environ, "PATH": search_path()}
    answer = subprocess.run(
        [SCRIPT, image, out], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"torch stays {PREFIX}/" in answer.stdout
    listed = subprocess.run(["unsquashfs", "-l", out], capture_output=True, text=True, check=True).stdout
    assert "/site-packages/eurolm/cli/main.py" in listed
    assert "/site-packages/eurolm/slurm/train.sbatch.j2" in listed
    assert "/site-packages/torch/" not in listed
    mounted = f"{out}:/user-software:image-src=/"
    if not REAL:
        unpacked = tmp_path / "user-software"
        subprocess.run(
            ["unsquashfs", "-quiet", "-no-progress", "-dest", unpacked, out], capture_output=True, check=True
        )
        mounted = f"{unpacked}:/user-software"
    look = "import eurolm, torch; print(eurolm.__file__, torch.__file__)"
    inside = [
        "singularity",
        "run",
        "--bind",
        mounted,
        image,
        "/user-software/bin/python",
        "-c",
        look,
    ]
    seen = subprocess.run(inside, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert seen.startswith("/user-software/lib/")
    assert f" {PREFIX}/" in seen


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_script_is_clean() -> None:
    answer = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
