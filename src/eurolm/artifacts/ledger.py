"""The run's history: one JSON line per event, appended, never rewritten. What was done, when, by which command."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import append_line

LEDGER = "ledger.jsonl"


def record(run_dir: Path, event: str, **facts: Any) -> None:
    """Append an event with the time in UTC."""
    append_line(run_dir / LEDGER, {"time": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, **facts})


def events(run_dir: Path, event: str | None = None, **facts: Any) -> list[dict[str, Any]]:
    """Events in order, filtered by name and by equal facts. A line torn by a crash is left out."""
    try:
        lines = (run_dir / LEDGER).read_text().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if event in (None, entry.get("event")) and all(entry.get(key) == value for key, value in facts.items()):
            found.append(entry)
    return found
