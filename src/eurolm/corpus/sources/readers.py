"""Records of a unit in batches of bounded size: JSON lines, text, and the formats that have a module of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from eurolm.config.corpus import SourceConfig
from eurolm.corpus.sources import hub, tables, warc
from eurolm.corpus.sources.batches import Batch
from eurolm.corpus.sources.streams import BYTE_ORDER_MARK, MAX_RECORD_BYTES, TOO_LONG, lines, whole
from eurolm.corpus.sources.units import Slice, Unit

READERS: dict[str, Callable[[Slice, SourceConfig], Iterator[Batch]]] = {
    "parquet": tables.parquet_batches,
    "arrow": tables.arrow_batches,
    "hub": hub.batches,
    "warc": warc.batches,
}


def read_batches(unit: Unit, source: SourceConfig) -> Iterator[Batch]:
    """The unit's records in file order. Raises InputError for files that cannot be read at all."""
    for piece in unit.slices:
        if unit.format in READERS:
            yield from READERS[unit.format](piece, source)
        else:
            yield from _line_batches(piece, unit.format, source)


def _line_batches(piece: Slice, kind: str, source: SourceConfig) -> Iterator[Batch]:
    batch = Batch()
    for place, data in _raw_records(piece, kind, source):
        fields, cause = _parse(data, kind, source)
        if cause:
            batch.invalid.add(cause, f"{piece.label}, byte {place:,}")
        else:
            batch.take(piece.label, place, fields, source.fields.text)
        batch.size += len(data or b"")
        if batch.full:
            yield batch
            batch = Batch()
    yield batch


def _raw_records(piece: Slice, kind: str, source: SourceConfig) -> Iterator[tuple[int, bytes | None]]:
    """Undecoded records with their offset; null stands for one that is too long. Blank lines separate."""
    if kind == "text" and source.text_unit == "document":
        data = whole(piece.path)
        yield 0, data.removeprefix(BYTE_ORDER_MARK) if data else data
        return
    found = _clean_lines(piece)
    yield from _blocks(found) if kind == "text" and source.text_unit == "paragraph" else _filled(found)


def _clean_lines(piece: Slice) -> Iterator[tuple[int, bytes | None]]:
    for place, line in lines(piece.path, piece.start, piece.end):
        if line is None:
            yield place, None
        else:
            yield place, (line.removeprefix(BYTE_ORDER_MARK) if place == 0 else line).removesuffix(b"\r")


def _filled(found: Iterator[tuple[int, bytes | None]]) -> Iterator[tuple[int, bytes | None]]:
    for place, line in found:
        if line is None or (line and not line.isspace()):
            yield place, line


def _blocks(found: Iterator[tuple[int, bytes | None]]) -> Iterator[tuple[int, bytes | None]]:
    """Lines between blank ones, joined; a block that is too long, or has a line that is, is not held."""
    # Bytes, not a list of lines: an object for each of a million short lines would take several times their bytes.
    block, size, first = bytearray(), 0, 0
    for place, line in found:
        if line is not None and (not line or line.isspace()):
            if size:
                yield first, bytes(block[:-1]) if size <= MAX_RECORD_BYTES else None
            block, size = bytearray(), 0
            continue
        first = first if size else place
        size += MAX_RECORD_BYTES + 1 if line is None else len(line) + 1
        if size > MAX_RECORD_BYTES or line is None:
            block.clear()
        else:
            block += line + b"\n"
    if size:
        yield first, bytes(block[:-1]) if size <= MAX_RECORD_BYTES else None


def _parse(data: bytes | None, kind: str, source: SourceConfig) -> tuple[dict[str, Any], str | None]:
    """Fields of a record, and what is wrong with it, if anything."""
    if data is None:
        return {}, TOO_LONG
    try:
        if kind == "text":
            return {source.fields.text: data.decode()}, None
        value = orjson.loads(data)
    except UnicodeDecodeError:
        return {}, "invalid UTF-8"
    except orjson.JSONDecodeError:
        return {}, "invalid UTF-8" if _is_broken_utf8(data) else "invalid JSON"
    return (value, None) if isinstance(value, dict) else ({}, "invalid JSON")


def _is_broken_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def text_lines(path: Path) -> Iterator[str]:
    """Lines of a plain, gzip or zstd file for a person to look at; broken UTF-8 shows as U+FFFD."""
    for _, line in lines(path, 0, path.stat().st_size):
        yield f"({TOO_LONG})" if line is None else line.decode(errors="replace")
