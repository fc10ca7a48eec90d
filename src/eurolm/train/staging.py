"""Where the ranks of a node leave a checkpoint for the copier: memory when it fits, else beside the target. No torch.

Saving into memory takes about as long as copying the tensors once, so training goes on while the copier writes to the
slow file system.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from eurolm.artifacts.atomic import PARTIAL_MARK

MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own inside, mode 0700
RESERVE = 1.25
"""A checkpoint must fit this many times into what is free."""


def checkpoint_bytes(parameters: int, world: int, ranks_here: int) -> int:
    """Bytes that the ranks of one node write, with AdamW: fp32 master and two moments of their share of the tensors."""
    return 12 * parameters * ranks_here // world


def memory_home(run_dir: Path) -> Path:
    """This run's own directory in memory."""
    name = hashlib.sha256(str(run_dir.resolve()).encode()).hexdigest()[:16]
    return MEMORY / f"eurolm-{os.getuid()}" / name


def fits_in_memory(needed: int) -> bool:
    """Whether `needed` bytes fit into node-local memory with a reserve."""
    own = MEMORY / f"eurolm-{os.getuid()}"
    if own.is_symlink() or (own.exists() and own.stat().st_uid != os.getuid()):
        return False  # somebody else's directory under our name
    try:
        free = min(shutil.disk_usage(MEMORY).free, _available_memory())
    except OSError:
        return False
    return needed * RESERVE <= free


def place(run_dir: Path, checkpoints: Path, name: str, in_memory: bool) -> Path:
    """Staging directory of checkpoint `name`."""
    return (memory_home(run_dir) if in_memory else checkpoints) / f"{name}{PARTIAL_MARK}staging"


def make(run_dir: Path, checkpoints: Path, name: str, in_memory: bool) -> None:
    """Create that directory, readable by this user alone."""
    directory = place(run_dir, checkpoints, name, in_memory)
    if in_memory:
        directory.parent.parent.mkdir(mode=0o700, exist_ok=True)
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700)


def remove_leftovers(run_dir: Path) -> None:
    """Remove what a killed attempt left in memory."""
    shutil.rmtree(memory_home(run_dir), ignore_errors=True)


def _available_memory() -> int:
    """Memory still free for this process: of the machine, and of its cgroup where that is limited."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and (text := limit.read_text().strip()).isdigit():
        free = min(free, int(text) - int(used.read_text()))
    return free
