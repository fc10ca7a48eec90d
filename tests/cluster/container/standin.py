"""The stand-in `singularity` and an image for it: this Python with eurolm, as a site's image would hold them. In the
lane of scripts/apptainer the real one, with an image of the same contents."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

REAL = os.environ.get("EUROLM_TEST_APPTAINER")
"""Directory of scripts/apptainer: the tests that use this module run with the real Apptainer."""
BIN = Path(__file__).parent / ("real" if REAL else "bin")
PREFIX = "/opt/venv" if REAL else sys.prefix
"""Where the image has its Python, torch included."""
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt")


def why_not() -> str | None:
    """Why the stand-in cannot run here; None when it can."""
    if os.geteuid() != 0:
        return "mount namespaces without an image builder need root"
    trial = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "t", "/mnt"], capture_output=True, check=False
    )
    return None if trial.returncode == 0 else f"no mount namespaces here: {trial.stderr.decode().strip()}"


def make_image(place: Path) -> Path:
    """An image with this interpreter's environment and this checkout of eurolm."""
    project = Path(__file__).parents[3]
    if REAL:
        place.symlink_to(Path(REAL) / "image")
        return place
    place.mkdir(parents=True)
    own = {sys.prefix, sys.base_prefix, str(project)}
    about = {
        "paths": [*SYSTEM, *sorted(path for path in own if not path.startswith("/usr"))],
        "path": "/usr/bin:/bin",
        "run_environment": {"PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "WITH_VENV": "1"},
    }
    (place / "image.json").write_text(json.dumps(about))
    return place


def search_path() -> str:
    """PATH on which `singularity` is the stand-in."""
    return f"{BIN}:{os.environ['PATH']}:/usr/sbin:/sbin"


HAS_SLURM = shutil.which("scontrol") is not None
