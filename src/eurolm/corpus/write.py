"""Last pass: the unit's documents go where the verdicts say, with counts and samples for the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from eurolm.artifacts.atomic import read_json, replacing, write_json
from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.records import COLUMNS, Tally, unit_documents
from eurolm.corpus.scratch import Scratch
from eurolm.corpus.summary import summarise
from eurolm.corpus.units import Unit

DOCUMENT_SCHEMA = pa.schema([pa.field(name, pa.large_string()) for name in COLUMNS])
DROPPED_SCHEMA = pa.schema([pa.field(name, pa.large_string()) for name in ("id", "rule", "value", "excerpt")])
COMPRESSION_LEVEL = 3
EXCERPT_CHARACTERS = 300


@dataclass(frozen=True)
class WriteTask:
    """A unit whose verdicts are in scratch."""

    unit: Unit
    config: CorpusConfig
    out: Path


def write_unit(task: WriteTask) -> dict[str, Any]:
    """Write the unit's shards; returns its summary. A unit whose summary exists is finished."""
    scratch, unit = Scratch(task.out), task.unit
    if scratch.summary(unit).exists():
        return read_json(scratch.summary(unit))
    source = task.config.sources[unit.source].name
    verdict = pl.read_parquet(scratch.verdicts(unit))
    parts: list[pl.DataFrame] = []
    with ExitStack() as stack:
        kept = stack.enter_context(_writer(shard(task.out, "documents", source, unit.number), DOCUMENT_SCHEMA))
        dropped = stack.enter_context(_writer(shard(task.out, "dropped", source, unit.number), DROPPED_SCHEMA))
        heldout = stack.enter_context(_writer(scratch.heldout(unit), DOCUMENT_SCHEMA))
        first = 0
        for frame in unit_documents(unit, task.config, Tally()):
            told = _joined(frame, verdict.slice(first, len(frame)))
            first += len(frame)
            passed = told.filter(pl.col("rule").is_null())
            _append(kept, passed.filter(~pl.col("heldout")).select(COLUMNS), DOCUMENT_SCHEMA)
            _append(heldout, passed.filter("heldout").select(COLUMNS), DOCUMENT_SCHEMA)
            _append(dropped, told.filter(pl.col("rule").is_not_null()).select(DROPPED_SCHEMA.names), DROPPED_SCHEMA)
            parts.append(told.drop("text", "license", "url", "date", "group", "register"))
    summary = summarise(pl.concat(parts), task.config.samples_per_rule)
    write_json(scratch.summary(unit), summary)
    return summary


def shard(out: Path, kind: str, source: str, number: int) -> Path:
    """`documents/<source>/00003.parquet`."""
    return out / kind / source / f"{number:05d}.parquet"


def merge_heldout(config: CorpusConfig, units: list[Unit], out: Path) -> None:
    """`heldout/<language>/<source>.parquet` in id order from the units' held-out documents."""
    scratch = Scratch(out)
    for place, source in enumerate(config.sources):
        own = [scratch.heldout(unit) for unit in units if unit.source == place]
        documents = pl.concat([pl.read_parquet(path) for path in own])
        for (language,), part in documents.group_by("language", maintain_order=True):
            with _writer(out / "heldout" / str(language) / f"{source.name}.parquet", DOCUMENT_SCHEMA) as writer:
                _append(writer, part.sort("id"), DOCUMENT_SCHEMA)


def _joined(frame: pl.DataFrame, verdict: pl.DataFrame) -> pl.DataFrame:
    """Documents beside their verdicts; both are in file order, which the ids confirm."""
    if not frame["id"].equals(verdict["id"]):
        raise RuntimeError(f"a unit read differently than when it was measured, near document {frame['id'][0]}")
    return (
        frame.drop("language")
        .hstack(verdict.drop("id"))
        .with_columns(excerpt=pl.col("text").str.slice(0, EXCERPT_CHARACTERS), bytes=pl.col("text").str.len_bytes())
    )


@contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    with (
        replacing(path) as partial,
        pq.ParquetWriter(partial, schema, compression="zstd", compression_level=COMPRESSION_LEVEL) as writer,
    ):
        yield writer


def _append(writer: pq.ParquetWriter, frame: pl.DataFrame, schema: pa.Schema) -> None:
    if len(frame):
        writer.write_table(frame.to_arrow().cast(schema))
