"""Cores, memory and library versions of this host."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path


def cores() -> int:
    """Cores this process may use: its affinity mask (which Slurm sets), not the machine's core count."""
    return len(os.sched_getaffinity(0))


def memory_bytes() -> int:
    """Memory this process may use: the smaller of the machine's and its cgroup's (v2 or v1) limit."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(int(text))
    return min(limits)


def versions(packages: tuple[str, ...]) -> dict[str, str | None]:
    """Installed version of each distribution; null where it is missing."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found
