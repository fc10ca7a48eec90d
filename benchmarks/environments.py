"""Peers in virtual environments of their own, because their pins would fight with ours. Made once, below `.peers/`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = {
    "datatrove": ("datatrove[io,processing]==0.10.1", "spacy==3.8.18", "regex", "py3langid==0.4.0", "zstandard"),
}


def python_of(peer: str) -> Path:
    """The interpreter of the peer's environment, which is made when it is missing."""
    place = ROOT / ".peers" / peer
    python = place / "bin" / "python"
    done = place / "requirements"
    wanted = "\n".join(PEERS[peer])
    if not done.is_file() or done.read_text() != wanted:
        print(f"installing {peer} into {place.relative_to(ROOT)} (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS[peer]], check=True)
        done.write_text(wanted)
    return python
