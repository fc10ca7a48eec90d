"""Files that eurolm carries: sample text and evaluation items in the package, `configs/` and `slurm/` beside it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def package_file(relative: str) -> Path:
    """A data file inside the package, such as `corpus/sample/lv_likumi.jsonl.zst`."""
    return Path(str(files("eurolm"))) / relative


def shipped(folder: str) -> Path:
    """`configs` or `slurm`: inside the package when installed from a wheel, beside `src/` in a checkout."""
    inside = package_file(folder)
    return inside if inside.is_dir() else Path(__file__).resolve().parents[3] / folder
