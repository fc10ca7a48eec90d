"""Where everything came from: manifests, versions, the ledger, the config."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

from eurolm.machine.host import versions
from eurolm.report.inputs import RunFiles

PACKAGES = (
    "eurolm", "torch", "deepspeed", "transformers", "tokenizers", "numpy", "polars", "pyarrow", "matplotlib",
)  # fmt: skip
EVENTS_SHOWN = 60
EVENT_CHARACTERS = 240
INPUTS_SHOWN = 200


def artifact_rows(files: RunFiles) -> list[dict[str, Any]]:
    """A row per data artifact with a manifest."""
    return [
        {
            "stage": stage,
            "fingerprint": manifest.fingerprint,
            "content": manifest.content,
            "recipe": manifest.recipe,
            "eurolm": manifest.eurolm_version,
            "files": len(manifest.files),
            "bytes": sum(entry.get("bytes", 0) for entry in manifest.files.values()),
            "libraries": ", ".join(f"{name} {version}" for name, version in manifest.libraries.items() if version),
        }
        for stage, manifest in files.manifests.items()
    ]


def input_rows(files: RunFiles) -> tuple[list[dict[str, Any]], int]:
    """Files from outside that the artifacts were made from, by name, and how many more there are."""
    found = [
        {"stage": stage, "name": Path(str(entry.get("path"))).name, "bytes": entry.get("bytes")}
        for stage, manifest in files.manifests.items()
        for entry in manifest.inputs
    ]
    return found[:INPUTS_SHOWN], max(0, len(found) - INPUTS_SHOWN)


def stage_seconds(files: RunFiles) -> list[tuple[str, float]]:
    """Wall-clock seconds per stage, summed over all attempts that finished it, in the order they were first run."""
    found: dict[str, float] = {}
    for entry in files.ledger:
        seconds = entry.get("seconds")
        if entry.get("event") == "stage" and isinstance(seconds, (int, float)):
            found[str(entry.get("stage"))] = found.get(str(entry.get("stage")), 0.0) + float(seconds)
    return list(found.items())


def ledger_rows(files: RunFiles) -> tuple[list[dict[str, str]], int]:
    """The latest events as time, name and facts, and how many earlier ones are not shown."""
    rows = []
    for entry in files.ledger[-EVENTS_SHOWN:]:
        facts = {key: value for key, value in entry.items() if key not in ("time", "event")}
        text = json.dumps(facts, ensure_ascii=False, sort_keys=True)
        if len(text) > EVENT_CHARACTERS:
            text = text[:EVENT_CHARACTERS] + " …"
        rows.append({"time": str(entry.get("time", "")), "event": str(entry.get("event", "")), "facts": text})
    return rows, max(0, len(files.ledger) - EVENTS_SHOWN)


def fingerprints(files: RunFiles) -> list[tuple[str, str]]:
    """Fingerprints that the ledger states for training and evaluation, and the hash of the model's files."""
    found: dict[str, str] = {}
    for entry in files.ledger:
        if entry.get("event") in ("training", "evaluated") and isinstance(entry.get("fingerprint"), str):
            found[f"{entry['event']}: fingerprint"] = entry["fingerprint"]
        if entry.get("event") == "trained" and isinstance(entry.get("content"), str):
            found["model: content"] = entry["content"]
    return list(found.items())


def installed() -> list[tuple[str, str | None]]:
    """Versions where this report is written; null for what is not installed."""
    return [("Python", platform.python_version()), *versions(PACKAGES).items()]
