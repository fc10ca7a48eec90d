"""Segmentations made from lexica of `../shared/data` (GPL, LGPL, CC-BY-SA: read by tests, never shipped)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def records(name: str) -> Iterator[dict[str, Any]]:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    with path.open("rb") as raw:
        stream = zstandard.ZstdDecompressor().stream_reader(raw) if path.suffix == ".zst" else raw
        yield from map(json.loads, io.TextIOWrapper(stream, encoding="utf-8"))


def unimorph_derivations(out: Path) -> Path:
    """Latvian derived words as base and affix, in the order they are spoken."""
    lines = []
    for entry in records("eval/lv/unimorph_derivation.jsonl"):
        affix = entry["affix"].strip("-")
        parts = [affix, entry["base"]] if entry["affix"].endswith("-") else [entry["base"], affix]
        lines.append(f"{entry['derived']}\t{' '.join(parts)}\n")
    out.write_text("".join(lines))
    return out


def hunspell_forms(language: str, out: Path, stems: int = 3000) -> Path:
    """Forms of every so many stems with the suffix rules of their flags: stem and suffix, whether or not the rule
    strips letters from the stem."""
    rules: dict[str, list[tuple[str, str, str]]] = {}
    for entry in records(f"morph/{language}/hunspell_affixes.jsonl.zst"):
        parts = entry["line"].split()
        if parts[:1] == ["SFX"] and len(parts) >= 5 and not parts[3].isdigit():
            rules.setdefault(parts[1], []).append((parts[2], parts[3].partition("/")[0], parts[4]))
    found = [entry for entry in records(f"morph/{language}/hunspell_stems.jsonl.zst") if entry["word"].isalpha()]
    lines = []
    for entry in found[:: max(1, len(found) // stems)]:
        for flag in entry["flags"].split(" ")[0]:
            for strip, add, condition in rules.get(flag, []):
                if add == "0" or (condition[-1] != "]" and condition != "." and not entry["word"].endswith(condition)):
                    continue
                if strip != "0" and not entry["word"].endswith(strip):
                    continue
                stem = entry["word"] if strip == "0" else entry["word"].removesuffix(strip)
                lines.append(f"{stem}{add}\t{entry['word']} {add}\n")
    out.write_text("".join(lines))
    return out
