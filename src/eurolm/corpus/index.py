"""`index/<source>.parquet` of a finished corpus: what a later corpus needs in order not to repeat these documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from eurolm.artifacts.atomic import replacing
from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.measure import TEXT_HASH, band_columns
from eurolm.corpus.sources.units import Unit
from eurolm.corpus.write import shard


@dataclass(frozen=True)
class IndexTask:
    """A source and its units, with their attributes and verdicts."""

    source: int
    units: tuple[Unit, ...]
    measured: tuple[Path, ...]
    verdicts: tuple[Path, ...]
    config: CorpusConfig
    out: Path


def write_index(task: IndexTask) -> None:
    """Write the source's index, unit by unit."""
    name = task.config.sources[task.source].name
    path = task.out / "index" / f"{name}.parquet"
    if path.exists():
        return
    heldout = _places(task, sorted(task.out.glob(f"heldout/*/{name}.parquet")))
    with replacing(path) as partial:
        target = None
        for unit, measured, verdicts in zip(task.units, task.measured, task.verdicts, strict=True):
            kept = _places(task, [shard(task.out, "documents", name, unit.number)])
            table = _rows(task, name, (measured, verdicts), pl.concat([kept, heldout])).to_arrow()
            target = target or pq.ParquetWriter(partial, table.schema, compression="zstd")
            target.write_table(table)
        if target is not None:
            target.close()


def _places(task: IndexTask, files: list[Path]) -> pl.DataFrame:
    """File and row of every document in `files`."""
    parts = [pl.DataFrame(schema={"id": pl.String, "row": pl.UInt32, "file": pl.String})]
    for file in files:
        ids = pl.DataFrame(pl.from_arrow(pq.read_table(file, columns=["id"]))).with_columns(
            pl.col("id").cast(pl.String)
        )
        parts.append(ids.with_row_index("row").select("id", "row", file=pl.lit(str(file.relative_to(task.out)))))
    return pl.concat(parts)


def _rows(task: IndexTask, name: str, files: tuple[Path, Path], places: pl.DataFrame) -> pl.DataFrame:
    """Kept documents of one unit, in file order."""
    wide, narrow = band_columns(task.config.duplicates)
    columns = ["id", "heldout_group", "characters", *TEXT_HASH, *wide, *narrow]
    attributes = pl.DataFrame(pl.from_arrow(pq.read_table(files[0], columns=columns)))
    passed = pl.read_parquet(files[1], columns=["rule"])["rule"].is_null()
    # A document that is not held out is never looked for by the narrow bands of another: zeros halve the index.
    spared = [pl.when("heldout_group").then(column).otherwise(0).alias(column) for column in narrow]
    return (
        attributes.filter(passed)
        .with_columns(*spared, source_name=pl.lit(name))
        .join(places, on="id", how="inner", maintain_order="left")
    )
