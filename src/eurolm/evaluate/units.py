"""Finished pieces of an evaluation: one file per model, language or task, reused when nothing behind it changed.

A unit is one JSON file, whole or absent, that carries the hash of all it depends on. A killed evaluation therefore
repeats at most the piece it was in, and the figures are the same as without the kill. What was computed for another
question (more items, another model) stays beside it under its hash, and is taken again when that is asked again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import PARTIAL_MARK, read_json, write_json
from eurolm.artifacts.hashing import sha256_json
from eurolm.scoring.ranks import ALONE, Ranks

ASIDE = "other"
"""Folder of units for other questions."""


@dataclass(frozen=True)
class Units:
    """The units of one evaluation directory."""

    directory: Path
    ranks: Ranks = ALONE

    def value(self, name: str, identity: dict[str, Any], compute: Callable[[], Any]) -> Any:
        """The unit's value: read if a file with the same identity is there, else computed and written."""
        path = self.directory / f"{name}.json"
        key = sha256_json(identity)
        stored = self.ranks.from_first(lambda: _stored(path, key))
        if stored is None:
            started = time.monotonic()
            value = compute()
            unit = {"key": key, "identity": identity, "seconds": round(time.monotonic() - started, 3), "value": value}
            self.ranks.from_first(lambda: write_json(path, unit))
            # As a reader of the file would see it: a figure must not depend on whether a unit was computed or reused.
            stored = json.loads(json.dumps(unit))
        return stored["value"]

    def seconds(self) -> dict[str, float]:
        """How long each unit took to compute, by name."""
        found = {path.stem: _read(path) for path in sorted(self.directory.glob("*.json"))}
        return {name: unit["seconds"] for name, unit in found.items() if unit is not None}

    def sweep(self) -> None:
        """Remove what a killed writer left behind."""
        for leftover in self.directory.glob(f"*{PARTIAL_MARK}*"):
            leftover.unlink(missing_ok=True)


def _stored(path: Path, key: str) -> dict[str, Any] | None:
    """The unit of that key, moved to `path` if it stood aside; a missing or unreadable one is null and computed again.

    A unit of another key makes way.
    """
    unit = _read(path)
    if unit is not None and unit.get("key") == key:
        return unit
    if unit is not None:
        aside = _aside(path, str(unit.get("key")))
        aside.parent.mkdir(exist_ok=True)
        path.replace(aside)
    kept = _read(_aside(path, key))
    if kept is None or kept.get("key") != key:
        return None
    _aside(path, key).replace(path)
    return kept


def _aside(path: Path, key: str) -> Path:
    return path.parent / ASIDE / f"{path.stem}-{key[:16]}.json"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and "value" in value else None
