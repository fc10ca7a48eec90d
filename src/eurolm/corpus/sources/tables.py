"""Rows of Parquet files and Arrow streams as records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eurolm.config.corpus import SourceConfig
from eurolm.corpus.sources.batches import BATCH_BYTES, BATCH_RECORDS, Batch
from eurolm.errors import InputError

if TYPE_CHECKING:
    from eurolm.corpus.sources.units import Slice

MAX_ROWS = BATCH_RECORDS // 4


def parquet_batches(piece: Slice, source: SourceConfig) -> Iterator[Batch]:
    """Rows of the row groups `start` to `end`."""
    with readable(piece.path, "Parquet"), pq.ParquetFile(piece.path) as file:
        groups = [file.metadata.row_group(group) for group in range(piece.end)]
        first = sum(group.num_rows for group in groups[: piece.start])
        own = groups[piece.start :]
        width = sum(group.total_byte_size for group in own) // max(1, sum(group.num_rows for group in own))
        rows = max(1, min(MAX_ROWS, BATCH_BYTES // max(1, width)))
        numbers = list(range(piece.start, piece.end))
        tables = file.iter_batches(batch_size=rows, row_groups=numbers, use_threads=False)
        yield from _batches(tables, piece, first, source)


def arrow_batches(piece: Slice, source: SourceConfig) -> Iterator[Batch]:
    """Rows of an Arrow stream, as `datasets` saves it."""
    with (
        readable(piece.path, "an Arrow stream"),
        pa.OSFile(str(piece.path)) as file,
        pa.ipc.open_stream(file) as stream,
    ):
        yield from _batches(stream, piece, 0, source)


@contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Arrow's errors about a file as InputError."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as {kind}: {error}. Fetch or write it again.") from None


def _batches(tables: Iterable[pa.RecordBatch], piece: Slice, row: int, source: SourceConfig) -> Iterator[Batch]:
    for table in tables:
        for start in range(0, table.num_rows, MAX_ROWS):
            yield table_batch(table.slice(start, MAX_ROWS), piece.label, row + start, source)
        row += table.num_rows
    yield Batch()


def table_batch(table: pa.RecordBatch, label: str, first_row: int, source: SourceConfig) -> Batch:
    """The rows of one table as a batch; `first_row` is the number of its first."""
    batch = Batch(size=table.nbytes)
    for index, fields in enumerate(_rows(_plain(table, source.fields.text))):
        batch.take(label, first_row + index, fields, source.fields.text, unit="row")
    return batch


def _plain(table: pa.RecordBatch, text_field: str) -> pa.RecordBatch:
    """Without nested columns, which no document keeps, and with times as text: Arrow writes any of them, while
    Python's types have neither its range nor its nanoseconds."""
    kept = [field.name for field in table.schema if field.name == text_field or not pa.types.is_nested(field.type)]
    table = table.select(kept)
    for place, field in enumerate(table.schema):
        if pa.types.is_temporal(field.type) and not pa.types.is_interval(field.type):
            kind = pa.int64() if pa.types.is_duration(field.type) else pa.string()
            table = table.set_column(place, pa.field(field.name, kind), pc.cast(table.column(place), kind))
    return table


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
