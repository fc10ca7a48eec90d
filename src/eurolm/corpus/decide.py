"""Pass two: what happens to every document, from the measured attributes alone.

A document leaves with the name of the first rule it fails: repeated id, permission, language, quality, exact
duplicate, near duplicate. Of duplicates a held-out document is kept before others, so that held-out text stays what it
is when a source is added and nothing like it remains in training; earlier corpora come before everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eurolm.artifacts.atomic import replacing
from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.duplicates.find import (
    Duplicates,
    Search,
    exact_duplicates,
    near_duplicates_of,
    repeated_ids,
    resolve,
)
from eurolm.corpus.duplicates.keys import Mask
from eurolm.corpus.judge import judge
from eurolm.corpus.measured import EARLIER, Piece
from eurolm.corpus.text.words import Ints

REPEATED_ID = "repeated_id"
EXACT, NEAR, LIKE_HELDOUT = "exact_duplicate", "near_duplicate", "heldout_duplicate"
BIG_COLUMNS = ("text_hash", "band", "narrow", "heldout_text", "paragraphs")
"""Beginnings of the names of columns that no rule looks at."""


@dataclass(frozen=True)
class JudgeTask:
    """A measured unit."""

    piece: Piece
    config: CorpusConfig


@dataclass(frozen=True)
class VerdictTask:
    """A measured unit and what the whole corpus says of its documents: arrays of places in the unit with a value each;
    `dropped` has the rule's name and its value."""

    judged: JudgeTask
    dropped: tuple[Ints, list[str], list[str | None]]
    clusters: tuple[Ints, Ints]
    out: Path


def read_attributes(path: Path) -> pl.DataFrame:
    """What the rules look at of a measured unit."""
    names = [name for name in pq.read_schema(path).names if not name.startswith(BIG_COLUMNS)]
    return pl.DataFrame(pl.from_arrow(pq.read_table(path, columns=names)))


def passes(task: JudgeTask) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Packed bits per document: passed every rule that looks at it alone; in a group that is held out. Documents of
    earlier corpora passed theirs."""
    frame = read_attributes(task.piece.path)
    held = frame["heldout_group"].to_numpy()
    if task.piece.source == EARLIER:
        return np.packbits(np.ones(len(frame), np.bool_)), np.packbits(held)
    judged = judge(frame, task.config, task.piece.source)
    return np.packbits(judged["rule"].is_null().to_numpy()), np.packbits(held)


def write_verdicts(task: VerdictTask) -> None:
    """Per document of the unit: `id, language, rule, value, heldout, cluster` (its size, for a kept document)."""
    if task.out.exists():
        return
    piece = task.judged.piece
    frame = read_attributes(piece.path)
    judged = judge(frame, task.judged.config, piece.source)
    rule, value = judged["rule"].to_list(), judged["value"].to_list()
    for place, name, cause in zip(*task.dropped, strict=True):
        rule[place], value[place] = name, cause
    cluster = np.ones(len(frame), np.int64)
    cluster[task.clusters[0]] = task.clusters[1]
    told = frame.select("id", "language", "heldout_group").with_columns(
        rule=pl.Series(rule, dtype=pl.String), value=pl.Series(value, dtype=pl.String), cluster=pl.Series(cluster)
    )
    verdicts = told.select(
        "id",
        "language",
        "rule",
        "value",
        heldout=pl.col("heldout_group") & pl.col("rule").is_null(),
        cluster=pl.when(pl.col("rule").is_null()).then("cluster").otherwise(0),
    )
    with replacing(task.out) as partial:
        verdicts.write_parquet(partial)


def decide(
    search: Search,
    config: CorpusConfig,
    verdict_files: Sequence[Path | None],
    load_shingles: Callable[[Ints], list[Path]],
) -> dict[str, Any]:
    """Write the verdicts of every piece that has a file for them; returns what the report says of duplicates."""
    measured, workers = search.measured, search.workers
    tasks = [JudgeTask(piece, config) for piece in measured.pieces]
    bits = workers.map(passes, tasks, label="judge", unit="shards")
    rows = np.diff(measured.edges)
    passed, heldout = (
        np.concatenate([np.unpackbits(pair[which], count=int(count)) for pair, count in zip(bits, rows, strict=True)])
        .astype(np.bool_)
        if len(bits) else np.zeros(0, np.bool_)
        for which in (0, 1)
    )  # fmt: skip
    repeated = repeated_ids(search)
    passed[repeated] = False
    found = _duplicates(search, passed, heldout, load_shingles)
    root = resolve(found.rows, found.kept)
    names = np.where(heldout[root] & ~heldout[found.rows], LIKE_HELDOUT, np.where(found.near, NEAR, EXACT))
    ids = measured.gather(found.kept, ["id"])["id"]
    values = pl.select(pl.format("{} of {}", pl.Series(found.similarity).round(4), pl.Series(ids))).to_series()
    dropped = pl.DataFrame(
        {
            "row": np.concatenate([repeated, found.rows]),
            "rule": [REPEATED_ID] * len(repeated) + names.tolist(),
            "value": [None] * len(repeated) + values.to_list(),
        },
        schema={"row": pl.Int64, "rule": pl.String, "value": pl.String},
    ).filter(pl.col("row") >= measured.earlier_rows)
    clusters = np.unique(root, return_counts=True)
    _write(search, tasks, dropped, (clusters[0], clusters[1] + 1), verdict_files)
    return _counts(found, root, measured.earlier_rows) | _one_shot(search, found, config)


def _duplicates(search: Search, passed: Mask, heldout: Mask, load_shingles: Callable[[Ints], list[Path]]) -> Duplicates:
    """Duplicates among the documents that passed, without those within earlier corpora."""
    exact, same = exact_duplicates(search, passed)
    distinct = passed.copy()
    distinct[exact] = False
    near, like, similarity = near_duplicates_of(search, distinct, heldout, load_shingles)
    rows = np.concatenate([exact, near])
    order = np.argsort(rows)
    return Duplicates(
        rows[order],
        np.concatenate([same, like])[order],
        np.concatenate([np.ones(len(exact)), similarity])[order],
        np.concatenate([np.zeros(len(exact), np.bool_), np.ones(len(near), np.bool_)])[order],
    )


def _write(
    search: Search,
    tasks: Sequence[JudgeTask],
    dropped: pl.DataFrame,
    clusters: tuple[Ints, Ints],
    files: Sequence[Path | None],
) -> None:
    edges = search.measured.edges
    by_row = dropped.sort("row")
    rows = by_row["row"].to_numpy()
    made = []
    for place, (task, out) in enumerate(zip(tasks, files, strict=True)):
        if out is None:
            continue
        start, end = np.searchsorted(rows, edges[place : place + 2])
        first, last = np.searchsorted(clusters[0], edges[place : place + 2])
        here = by_row.slice(int(start), int(end - start))
        own = (rows[start:end] - edges[place], here["rule"].to_list(), here["value"].to_list())
        made.append(VerdictTask(task, own, (clusters[0][first:last] - edges[place], clusters[1][first:last]), out))
    search.workers.map(write_verdicts, made, label="verdicts", unit="shards")


def _counts(found: Duplicates, root: Ints, earlier_rows: int) -> dict[str, Any]:
    """Clusters of new documents that hold an exact copy, and that hold a near one."""
    new = found.rows >= earlier_rows
    return {
        "exact": len(np.unique(root[new & ~found.near])),
        "near": len(np.unique(root[new & found.near])),
    }


def _one_shot(search: Search, found: Duplicates, config: CorpusConfig) -> dict[str, Any]:
    """How dropping what repeats an earlier corpus differs from building both at once: there, of two documents of one
    source the longer would have stayed, and a held-out one before any other."""
    first_new = search.measured.earlier_rows
    if not first_new:
        return {}
    against = (found.kept < first_new) & (found.rows >= first_new)
    new = search.measured.gather(found.rows[against], ["heldout_group", "characters", "id"])
    old = search.measured.gather(found.kept[against], ["heldout_group", "characters", "id", "source_name"])
    names = [config.sources[place].name for place in new["source"]]
    other = 0
    for ours, theirs, name in zip(new.iter_rows(named=True), old.iter_rows(named=True), names, strict=True):
        if ours["heldout_group"] != theirs["heldout_group"]:
            other += ours["heldout_group"]
        elif name == theirs["source_name"]:
            other += (-ours["characters"], ours["id"]) < (-theirs["characters"], theirs["id"])
    return {"earlier": {"documents": first_new, "dropped": int(against.sum()), "one_shot_would_keep": int(other)}}
