"""What all users of the cluster can reach.

Python or the checkout may lie below a directory that only root may enter. On the cluster, and only there, such a
directory is covered by an empty one that all may enter and that shows what is needed of it, at the same paths.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
OPEN_TO_OTHERS = 0o005


def covering(root: Path, used: Iterable[Path]) -> str:
    """Lines for the cluster's login node. `used`: what only root needs, shown where a cover would hide it."""
    needed = [Path(path).resolve() for path in (sys.base_prefix, sys.prefix, PROJECT, root, tempfile.gettempdir())]
    covers = sorted({top for path in needed if (top := _topmost_closed(path)) is not None})
    shown = [*(piece for path in needed for piece in _pieces(path)), *(path.resolve() for path in used)]
    return "".join(_cover(root, top, _outermost(path for path in shown if path.is_relative_to(top))) for top in covers)


def _cover(root: Path, top: Path, shown: list[Path]) -> str:
    """The cover is made complete beside before it is moved into place, since it hides what it shows."""
    place = root / "cover"
    lines = [f"mkdir -p {_word(place)}", f"mount -t tmpfs -o mode=755 tmpfs {_word(place)}"]
    for path in shown:
        target = place / path.relative_to(top)
        lines.append(f"mkdir -p {_word(target if path.is_dir() and not path.is_symlink() else target.parent)}")
        if path.is_symlink():
            lines.append(f"cp --no-dereference {_word(path)} {_word(target)}")
        elif path.is_dir():
            lines.append(f"mount --rbind {_word(path)} {_word(target)}")
        else:
            lines.append(f"touch {_word(target)}; mount --bind {_word(path)} {_word(target)}")
    return "".join(f"{line}\n" for line in (*lines, f"mount --move {_word(place)} {_word(top)}"))


def _topmost_closed(path: Path) -> Path | None:
    """The first directory on the way to `path`, itself included, that others may not enter."""
    way = [*reversed(path.parents), path]
    return next((place for place in way if _is_closed(place)), None)


def _pieces(path: Path) -> list[Path]:
    """`path`, or what is in it where others may not enter it: a mount shows a directory with the mode it has."""
    return list(path.iterdir()) if _is_closed(path) else [path]


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Without those that lie in another of them."""
    found: list[Path] = []
    for path in sorted(paths):
        if not any(path.is_relative_to(outer) for outer in found):
            found.append(path)
    return found


def _is_closed(path: Path) -> bool:
    return path.is_dir() and path.stat().st_mode & OPEN_TO_OTHERS != OPEN_TO_OTHERS


def _word(path: Path) -> str:
    return shlex.quote(str(path))
