"""Last pass: the unit's documents go where the verdicts say, with counts and samples for the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from eurolm.artifacts.atomic import read_json, replacing, write_json
from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.contamination.clean import HIT_SCHEMA, RULES, Unwanted, clean
from eurolm.corpus.reading import Read, read_unit
from eurolm.corpus.scratch import Scratch
from eurolm.corpus.sources.records import COLUMNS, Tally
from eurolm.corpus.sources.units import Unit
from eurolm.corpus.summary import summarise
from eurolm.corpus.text.language import detector
from eurolm.corpus.text.paragraphs import foreign_paragraphs
from eurolm.corpus.unwanted import UnwantedFiles, load

DOCUMENT_SCHEMA = pa.schema([pa.field(name, pa.large_string()) for name in COLUMNS])
DROPPED_SCHEMA = pa.schema([pa.field(name, pa.large_string()) for name in ("id", "rule", "value", "excerpt")])
COMPRESSION_LEVEL = 3
EXCERPT_CHARACTERS = 300


@dataclass(frozen=True)
class WriteTask:
    """A unit whose verdicts are in scratch, and the files that say which text must go."""

    unit: Unit
    config: CorpusConfig
    unwanted: UnwantedFiles
    out: Path


def write_unit(task: WriteTask) -> dict[str, Any]:
    """Write the unit's shards; returns its summary. A unit whose summary exists is finished."""
    scratch, unit = Scratch(task.out), task.unit
    if scratch.summary(unit).exists():
        return read_json(scratch.summary(unit))
    source = task.config.sources[unit.source].name
    verdict = pl.read_parquet(scratch.verdicts(unit))
    unwanted = load(task.unwanted)
    parts, hits = [], []
    with ExitStack() as stack:
        kept = stack.enter_context(writer(shard(task.out, "documents", source, unit.number), DOCUMENT_SCHEMA))
        dropped = stack.enter_context(writer(shard(task.out, "dropped", source, unit.number), DROPPED_SCHEMA))
        heldout = stack.enter_context(writer(scratch.heldout(unit), DOCUMENT_SCHEMA))
        first = 0
        for read in read_unit(unit, task.config, Tally()):
            told, found = _cleaned(_joined(read, verdict.slice(first, len(read.frame))), task.config, unwanted)
            first += len(read.frame)
            hits.append(found)
            passed = told.filter(pl.col("rule").is_null())
            _append(kept, passed.filter(~pl.col("heldout")).select(COLUMNS), DOCUMENT_SCHEMA)
            _append(heldout, passed.filter("heldout").select(COLUMNS), DOCUMENT_SCHEMA)
            _append(dropped, told.filter(pl.col("rule").is_not_null()).select(DROPPED_SCHEMA.names), DROPPED_SCHEMA)
            parts.append(told.drop("text", "license", "url", "date", "group", "register"))
    with replacing(scratch.hits(unit)) as partial:
        pl.concat(hits).write_parquet(partial)
    summary = summarise(pl.concat(parts), task.config.samples_per_rule)
    write_json(scratch.summary(unit), summary)
    return summary


def shard(out: Path, kind: str, source: str, number: int) -> Path:
    """`documents/<source>/00003.parquet`."""
    return out / kind / source / f"{number:05d}.parquet"


def merge_heldout(config: CorpusConfig, units: Sequence[Unit], out: Path) -> None:
    """`heldout/<language>/<source>.parquet` in id order from the units' held-out documents."""
    scratch = Scratch(out)
    for place, source in enumerate(config.sources):
        own = [scratch.heldout(unit) for unit in units if unit.source == place]
        documents = pl.concat([pl.read_parquet(path) for path in own])
        for (language,), part in documents.group_by("language", maintain_order=True):
            with writer(out / "heldout" / str(language) / f"{source.name}.parquet", DOCUMENT_SCHEMA) as target:
                _append(target, part.sort("id"), DOCUMENT_SCHEMA)


def merge_hits(units: Sequence[Unit], out: Path) -> pl.DataFrame:
    """`hits.parquet`: which paragraph of which document holds which evaluation item."""
    hits = pl.concat([pl.DataFrame(schema=HIT_SCHEMA), *(pl.read_parquet(Scratch(out).hits(unit)) for unit in units)])
    with replacing(out / "hits.parquet") as partial:
        hits.write_parquet(partial)
    return hits


@contextmanager
def writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A Parquet file of this schema, whole or absent."""
    with (
        replacing(path) as partial,
        pq.ParquetWriter(partial, schema, compression="zstd", compression_level=COMPRESSION_LEVEL) as target,
    ):
        yield target


def _joined(read: Read, verdict: pl.DataFrame) -> pl.DataFrame:
    """Documents beside their verdicts; both are in file order, which the ids confirm."""
    if not read.frame["id"].equals(verdict["id"]):
        raise RuntimeError(f"a unit read differently than when it was measured, near document {read.frame['id'][0]}")
    counts = [count.alias(f"personal_{count.name}") for count in read.personal]
    return read.frame.drop("language").hstack(verdict.drop("id")).with_columns(*counts, read.repaired)


def _cleaned(told: pl.DataFrame, config: CorpusConfig, unwanted: Unwanted) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Documents without the paragraphs that must go, and the table of evaluation items found."""
    sized = told.with_columns(read_bytes=pl.col("text").str.len_bytes())
    passed = sized.with_row_index("place").filter(pl.col("rule").is_null())
    if config.detection.foreign_paragraphs == "remove":
        gone = foreign_paragraphs(passed["text"].to_list(), detector(config.detection), frozenset(config.languages))
        passed = passed.with_columns(foreign=pl.Series(gone, dtype=pl.List(pl.Int64)))
    cleaned = clean(passed, config, unwanted)
    removed = [cleaned.verdicts[f"{cause}_paragraphs"].alias(f"removed_{cause}") for cause in RULES]
    changes = passed.select("place").with_columns(
        cleaned.texts, cleaned.verdicts["rule"], cleaned.verdicts["value"], *removed
    )
    after = sized.with_row_index("place").join(changes, on="place", how="left", suffix="_after", maintain_order="left")
    return (
        after.with_columns(
            text=pl.coalesce("text_after", "text"),
            rule=pl.coalesce("rule_after", "rule"),
            value=pl.coalesce("value_after", "value"),
        )
        .drop("place", "text_after", "rule_after", "value_after")
        .with_columns(
            excerpt=pl.col("text").str.slice(0, EXCERPT_CHARACTERS),
            bytes=pl.col("text").str.len_bytes(),
            characters=pl.col("text").str.len_chars(),
        ),
        cleaned.hits,
    )


def _append(target: pq.ParquetWriter, frame: pl.DataFrame, schema: pa.Schema) -> None:
    if len(frame):
        target.write_table(frame.to_arrow().cast(schema))
