"""The run's list of nodes that jobs must avoid: `runs/<name>/exclude.txt`, one node a line, with the reason after `#`.

Preflight appends to it, people may too, and delete lines when a node is mended.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

FILE = "exclude.txt"


def excluded_nodes(run_dir: Path) -> list[str]:
    """Nodes on the list, each once, in order; empty where there is no list."""
    try:
        lines = (run_dir / FILE).read_text().splitlines()
    except FileNotFoundError:
        return []
    nodes = (line.partition("#")[0].strip() for line in lines)
    return list(dict.fromkeys(node for node in nodes if node))


def exclude(run_dir: Path, nodes: Sequence[tuple[str, str]], job: str) -> None:
    """Append (node, reason) pairs that are not on the list yet, in one write."""
    known = set(excluded_nodes(run_dir))
    day = datetime.now(UTC).date().isoformat()
    lines = [f"{node}  # {day}, job {job}: {' '.join(reason.split())}\n" for node, reason in nodes if node not in known]
    descriptor = os.open(run_dir / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, "".join(lines).encode())
    finally:
        os.close(descriptor)
