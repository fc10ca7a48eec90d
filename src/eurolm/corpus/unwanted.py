"""What must not be in training text, made ready for the workers that write: items, held-out text, boilerplate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from eurolm.artifacts.atomic import replacing
from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.boilerplate import frequent
from eurolm.corpus.contamination.clean import Unwanted
from eurolm.corpus.contamination.heldout_windows import HeldoutIndex
from eurolm.corpus.contamination.items import ItemIndex
from eurolm.corpus.contamination.queries import queries
from eurolm.corpus.scratch import Scratch
from eurolm.corpus.sources.units import Unit
from eurolm.corpus.text.words import UInts, Words, words_of

PARAGRAPHS_PER_PARTITION = 32_000_000
"""Hashes counted at a time: about 1 GB with the sort's own memory."""


@dataclass(frozen=True)
class UnwantedFiles:
    """Where the indexes are; null where boilerplate is kept."""

    items: Path
    heldout: Path
    boilerplate: Path | None


@lru_cache(maxsize=1)
def load(files: UnwantedFiles) -> Unwanted:
    """The indexes, once per process. Read-only."""
    return Unwanted(
        ItemIndex.load(files.items),
        HeldoutIndex.open(files.heldout),
        np.load(files.boilerplate) if files.boilerplate else np.zeros(0, np.uint64),
    )


def prepare(
    config: CorpusConfig, units: Sequence[Unit], measured: Sequence[Path], scratch: Scratch, earlier: Sequence[Path]
) -> UnwantedFiles:
    """Write the indexes that are missing. `measured` are the units' attributes, `earlier` other corpora whose held-out
    text must stay out as well. Raises ConfigError or InputError for tasks and item files that cannot be used."""
    place = scratch.unwanted()
    verdicts = [scratch.verdicts(unit) for unit in units]
    items, heldout, boilerplate = place / "items.npz", place / "heldout", place / "boilerplate.npy"
    if not items.exists():
        place.mkdir(parents=True, exist_ok=True)
        ItemIndex.build(queries(config.decontamination)).save(items)
    if not heldout.exists():
        HeldoutIndex.build(_heldout_words(measured, verdicts, earlier), config.heldout.shared_words, heldout)
    most = config.boilerplate.max_documents
    if most is not None and not boilerplate.exists():
        hashes = _frequent(measured, verdicts, most)
        with replacing(boilerplate) as partial, partial.open("wb") as stream:
            np.save(stream, hashes)
    return UnwantedFiles(items, heldout, None if most is None else boilerplate)


def describe(files: UnwantedFiles, hits: pl.DataFrame) -> dict[str, Any]:
    """For the report: per task how many items were looked for, could not be, and were found, in how many documents."""
    counts = ItemIndex.load(files.items).counts()
    found = hits.group_by("task").agg(pl.col("item").n_unique(), pl.col("document").n_unique())
    by_task = {task: (items, documents) for task, items, documents in found.iter_rows()}
    return {
        "tasks": [
            {
                "task": task,
                **count,
                "items_found": by_task.get(task, (0, 0))[0],
                "documents": by_task.get(task, (0, 0))[1],
            }
            for task, count in counts.items()
        ]
    }


def _heldout_words(measured: Sequence[Path], verdicts: Sequence[Path], earlier: Sequence[Path]) -> Iterator[Words]:
    for attributes, verdict in zip(measured, verdicts, strict=True):
        held = pl.read_parquet(verdict, columns=["heldout"])["heldout"]
        texts = pl.Series(pq.read_table(attributes, columns=["heldout_text"]).column(0), dtype=pl.String)
        yield words_of(texts.filter(held))
    for corpus in earlier:
        for path in sorted(corpus.glob("heldout/*/*.parquet")):
            yield words_of(pl.read_parquet(path, columns=["text"])["text"])


def _frequent(measured: Sequence[Path], verdicts: Sequence[Path], max_documents: int) -> UInts:
    """Hashes of paragraphs that stand in too many of the documents that passed."""

    def read() -> Iterator[UInts]:
        for attributes, verdict in zip(measured, verdicts, strict=True):
            passed = pl.read_parquet(verdict, columns=["rule"])["rule"].is_null()
            lists = pl.Series(pq.read_table(attributes, columns=["paragraphs"]).column(0))
            yield lists.filter(passed).explode().drop_nulls().to_numpy()

    total = sum(len(hashes) for hashes in read())
    partitions = 1 << max(0, -(-total // PARAGRAPHS_PER_PARTITION) - 1).bit_length()
    return frequent(read, max_documents, partitions)
