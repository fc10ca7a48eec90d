"""A finished corpus against what must not be trained on *now*: new tasks, newer opt-out lists, other licences.

The corpus is not rewritten. What comes out is a table of hits and a list of documents to leave out, which the user
names under `corpus.forget`.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow.parquet as pq

from eurolm.artifacts.atomic import replacing, write_bytes
from eurolm.config.corpus import CorpusConfig
from eurolm.console import Reporter
from eurolm.corpus import permissions
from eurolm.corpus.contamination.items import ItemIndex
from eurolm.corpus.contamination.queries import queries
from eurolm.corpus.documents import shards
from eurolm.corpus.paragraphs import touched
from eurolm.corpus.text.words import words_of
from eurolm.machine.workers import map_shards

COLUMNS = ("id", "text", "source", "license", "url")
BATCH_DOCUMENTS = 1024
LEAST_BYTES_FOR_WORKERS = 256 * 1024**2
"""Of shards, compressed: about 10 s of work. Below, starting processes takes longer."""
HIT_SCHEMA = pl.Schema(
    {
        "document": pl.String(),
        "source": pl.String(),
        "heldout": pl.Boolean(),
        "task": pl.String(),
        "item": pl.String(),
        "paragraph": pl.Int64(),
    }
)
"""One row per line of a document (its number, from 0) that an item touches."""
DROP_SCHEMA = pl.Schema({"id": pl.String(), "reason": pl.String()})


@dataclass(frozen=True)
class ShardTask:
    """One shard and what to look for in it."""

    shard: Path
    heldout: bool
    items: Path
    config: CorpusConfig


@dataclass(frozen=True)
class ShardResult:
    """`hits` has `HIT_SCHEMA`, `drop` has `DROP_SCHEMA`."""

    documents: int
    hits: pl.DataFrame
    drop: pl.DataFrame


def recheck(corpus: Path, config: CorpusConfig, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write `out/hits.parquet` and `out/drop.jsonl`; returns counts.

    A training document that repeats an item is to be dropped, because its paragraphs cannot be removed any more; of a
    held-out one the hit is listed only. Refused licences and opted-out addresses drop both. Raises InputError where
    `corpus` is not a finished corpus or an item file or list cannot be read.
    """
    index = ItemIndex.build(queries(config.decontamination))
    lists = permissions.loaded(config.opt_out)
    training, heldout = shards(corpus), sorted(corpus.glob("heldout/*/*.parquet"))
    stored = out / f"items-{uuid.uuid4().hex[:12]}.npz"
    index.save(stored)
    tasks = [
        ShardTask(path, held, stored, config) for group, held in ((training, False), (heldout, True)) for path in group
    ]
    small = sum(task.shard.stat().st_size for task in tasks) < LEAST_BYTES_FOR_WORKERS
    results = map_shards(
        recheck_shard,
        tasks,
        workers=config.workers or (1 if small else None),
        label="recheck",
        unit="shards",
        reporter=reporter,
    )
    stored.unlink()
    hits = pl.concat(result.hits for result in results)
    drop = pl.concat(result.drop for result in results)
    with replacing(out / "hits.parquet") as partial:
        hits.write_parquet(partial)
    write_bytes(out / "drop.jsonl", b"".join(orjson.dumps(row) + b"\n" for row in drop.iter_rows(named=True)))
    return {
        "documents": sum(result.documents for result in results),
        "hit_documents": _documents_per_task(hits.filter(~pl.col("heldout"))),
        "hit_heldout": _documents_per_task(hits.filter("heldout")),
        "dropped": dict(sorted(Counter(reason.split(":")[0] for reason in drop["reason"]).items())),
        "items": index.counts(),
        "opt_out": lists.describe(),
    }


def recheck_shard(task: ShardTask) -> ShardResult:
    """Everything found in one shard, in document order."""
    index, lists = _index(task.items), permissions.loaded(task.config.opt_out)
    count, hits, drop = 0, [pl.DataFrame(schema=HIT_SCHEMA)], [pl.DataFrame(schema=DROP_SCHEMA)]
    for frame in _frames(task.shard):
        count += len(frame)
        found = _hits(frame, index).with_columns(heldout=pl.lit(task.heldout)).select(HIT_SCHEMA.names())
        rule, value = permissions.refusals(frame, task.config, lists)
        refused = frame.select("id", reason=rule + ": " + value).drop_nulls("reason")
        hits.append(found)
        drop.append(_dropped(frame, refused, found.clear() if task.heldout else found))
    return ShardResult(count, pl.concat(hits), pl.concat(drop))


@lru_cache(maxsize=1)
def _index(path: Path) -> ItemIndex:
    """Once per process and recheck, whose file has a name of its own."""
    return ItemIndex.load(path)


def _frames(path: Path) -> Iterator[pl.DataFrame]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_DOCUMENTS, columns=list(COLUMNS), use_threads=False):
            yield pl.DataFrame(pl.from_arrow(batch)).cast(pl.String)


def _hits(frame: pl.DataFrame, index: ItemIndex) -> pl.DataFrame:
    """Columns document, source, task, item, paragraph."""
    texts = frame["text"].to_list()
    hits = index.match(words_of(frame["text"]), texts)
    run, paragraph = touched(texts, hits.text, hits.first, hits.last)
    items = [index.items[number] for number in hits.item[run].tolist()]
    row = pl.Series(hits.text[run])
    return pl.DataFrame(
        {
            "document": frame["id"].gather(row),
            "source": frame["source"].gather(row),
            "task": pl.Series([item.task for item in items], dtype=pl.String),
            "item": pl.Series([item.item for item in items], dtype=pl.String),
            "paragraph": paragraph,
        }
    ).unique(maintain_order=True)


def _dropped(frame: pl.DataFrame, refused: pl.DataFrame, hits: pl.DataFrame) -> pl.DataFrame:
    """One row per document that must go, in document order; a refusal is named before an item."""
    items = hits.group_by("document", maintain_order=True).agg(
        reason=pl.format("evaluation_item: {} {}", pl.col("task").first(), pl.col("item").first())
    )
    every = pl.concat([refused, items.rename({"document": "id"})]).unique("id", keep="first", maintain_order=True)
    return frame.select("id").join(every, on="id", how="inner", maintain_order="left")


def _documents_per_task(hits: pl.DataFrame) -> dict[str, int]:
    counted = hits.group_by("task").agg(pl.col("document").n_unique()).sort("task")
    return dict(counted.iter_rows())
