"""Records of a unit in batches of bounded size: JSON lines, Parquet, text. What cannot be a document is counted.

A record is the mapping of field names to values as the source wrote it, with its place (the offset in the decoded
file, or the row number) for sources without keys of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from eurolm.config.corpus import SourceConfig
from eurolm.corpus.streams import lines, whole
from eurolm.corpus.units import Slice, Unit
from eurolm.errors import InputError

BATCH_BYTES = 4 * 1024**2
BATCH_RECORDS = 4096
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Record:
    """One record: `file` and `place` say where it stood, `fields` what it held."""

    file: str
    place: int
    fields: dict[str, Any]


@dataclass
class Invalid:
    """Records that are no documents, by cause, and the place of the first of them."""

    counts: dict[str, int] = field(default_factory=dict)
    first: str | None = None

    def add(self, cause: str, where: str) -> None:
        """Count one."""
        self.counts[cause] = self.counts.get(cause, 0) + 1
        self.first = self.first or f"{cause} at {where}"

    @property
    def total(self) -> int:
        """Invalid records of all causes."""
        return sum(self.counts.values())


@dataclass
class Batch:
    """Consecutive records, and what was invalid between them."""

    records: list[Record] = field(default_factory=list)
    invalid: Invalid = field(default_factory=Invalid)
    size: int = 0


def read_batches(unit: Unit, source: SourceConfig) -> Iterator[Batch]:
    """The unit's records in file order. Raises InputError for files that cannot be read at all."""
    for piece in unit.slices:
        if unit.format == "parquet":
            yield from _parquet_batches(piece, source)
        else:
            yield from _line_batches(piece, unit.format, source)


def _line_batches(piece: Slice, kind: str, source: SourceConfig) -> Iterator[Batch]:
    batch = Batch()
    for place, data in _raw_records(piece, kind, source):
        fields, cause = _parse_json(data) if kind == "jsonl" else _parse_text(data, source)
        cause = cause or _text_problem(fields.get(source.fields.text))
        if cause:
            batch.invalid.add(cause, f"{piece.label}, byte {place:,}")
        else:
            batch.records.append(Record(piece.label, place, fields))
        batch.size += len(data)
        if batch.size >= BATCH_BYTES or len(batch.records) >= BATCH_RECORDS:
            yield batch
            batch = Batch()
    yield batch


def _raw_records(piece: Slice, kind: str, source: SourceConfig) -> Iterator[tuple[int, bytes]]:
    """Undecoded records with their offset; blank lines separate and are no records."""
    if kind == "text" and source.text_unit == "document":
        yield 0, whole(piece.path).removeprefix(BYTE_ORDER_MARK)
        return
    block: list[bytes] = []
    block_place = 0
    for place, line in lines(piece.path, piece.start, piece.end):
        data = (line.removeprefix(BYTE_ORDER_MARK) if place == 0 else line).removesuffix(b"\r")
        blank = not data.strip()
        if kind == "jsonl" or source.text_unit == "line":
            if not blank:
                yield place, data
        elif not blank:
            block_place = block_place if block else place
            block.append(data)
        elif block:
            yield block_place, b"\n".join(block)
            block = []
    if block:
        yield block_place, b"\n".join(block)


def _parse_json(data: bytes) -> tuple[dict[str, Any], str | None]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}, "invalid UTF-8" if _is_broken_utf8(data) else "invalid JSON"
    return (value, None) if isinstance(value, dict) else ({}, "invalid JSON")


def _parse_text(data: bytes, source: SourceConfig) -> tuple[dict[str, Any], str | None]:
    if _is_broken_utf8(data):
        return {}, "invalid UTF-8"
    return {source.fields.text: data.decode()}, None


def _is_broken_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def _text_problem(text: Any) -> str | None:
    if text is None:
        return "no text"
    return None if isinstance(text, str) else "text is not a string"


def _parquet_batches(piece: Slice, source: SourceConfig) -> Iterator[Batch]:
    try:
        file = pq.ParquetFile(piece.path)
        row = sum(file.metadata.row_group(group).num_rows for group in range(piece.start))
        groups = list(range(piece.start, piece.end))
        for table in file.iter_batches(batch_size=BATCH_RECORDS // 4, row_groups=groups, use_threads=False):
            yield _table_batch(table, piece, row, source)
            row += table.num_rows
        yield Batch()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{piece.path} cannot be read as Parquet: {error}. Fetch or write it again.") from None


def _table_batch(table: pa.RecordBatch, piece: Slice, first_row: int, source: SourceConfig) -> Batch:
    batch = Batch(size=table.nbytes)
    for index, fields in enumerate(_rows(table)):
        place = first_row + index
        cause = _text_problem(fields.get(source.fields.text))
        if cause:
            batch.invalid.add(cause, f"{piece.label}, row {place:,}")
        else:
            batch.records.append(Record(piece.label, place, fields))
    return batch


def _rows(table: pa.RecordBatch) -> list[dict[str, Any]]:
    try:
        return table.to_pylist()
    except UnicodeDecodeError:
        return [_row_or_nothing(table.slice(index, 1)) for index in range(table.num_rows)]


def _row_or_nothing(row: pa.RecordBatch) -> dict[str, Any]:
    # Arrow does not check UTF-8 when it reads Parquet; one broken string must cost one record, not the batch.
    try:
        return row.to_pylist()[0]
    except UnicodeDecodeError:
        return {}


def text_lines(path: Path) -> Iterator[str]:
    """Lines of a plain, gzip or zstd file for a person to look at; broken UTF-8 shows as U+FFFD."""
    for _, line in lines(path, 0, path.stat().st_size):
        yield line.decode(errors="replace")
