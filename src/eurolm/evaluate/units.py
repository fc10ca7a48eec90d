"""Finished pieces of an evaluation: one file per model, language or task, reused when nothing behind it changed.

A unit is one JSON file, whole or absent, that carries the hash of all it depends on. A killed evaluation therefore
repeats at most the piece it was in, and the figures are the same as without the kill.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import PARTIAL_MARK, read_json, write_json
from eurolm.artifacts.hashing import sha256_json


@dataclass(frozen=True)
class Units:
    """The units of one evaluation directory."""

    directory: Path

    def value(self, name: str, identity: dict[str, Any], compute: Callable[[], Any]) -> Any:
        """The unit's value: read if a file with the same identity is there, else computed and written."""
        path = self.directory / f"{name}.json"
        key = sha256_json(identity)
        stored = _stored(path)
        if stored is not None and stored.get("key") == key:
            return stored["value"]
        started = time.monotonic()
        value = compute()
        seconds = round(time.monotonic() - started, 3)
        write_json(path, {"key": key, "identity": identity, "seconds": seconds, "value": value})
        # As a reader of the file would see it: a figure must not depend on whether a unit was computed or reused.
        return read_json(path)["value"]

    def sweep(self) -> None:
        """Remove what a killed writer left behind."""
        for leftover in self.directory.glob(f"*{PARTIAL_MARK}*"):
            leftover.unlink(missing_ok=True)


def _stored(path: Path) -> dict[str, Any] | None:
    """The unit in `path`; a missing or unreadable one is null and is computed again."""
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and "value" in value else None
