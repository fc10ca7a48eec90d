"""Are these shards whole? Sizes, pointers, EOD after every document, ids of the vocabulary, hashes of the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from eurolm.artifacts.manifest import MANIFEST, damaged_files, read_manifest
from eurolm.errors import InputError
from eurolm.tokens.collection import Collection
from eurolm.tokens.encode import documents_path
from eurolm.tokens.shards import ShardReader

CHUNK_TOKENS = 4_000_000


@dataclass(frozen=True)
class Verified:
    """What was looked at and what is wrong."""

    shards: int
    documents: int
    tokens: int
    problems: list[str]
    """One sentence each, naming the file."""
    unchecked: list[str]
    """What could not be checked, and why."""


def verify(shards: Collection) -> Verified:
    """Read every byte of the shards of a collection. Raises InputError for another tokenizer than the shards'."""
    known = shards.loaded() or shards.record
    problems, unchecked = [], []
    documents = tokens = 0
    for stem in shards.stems:
        try:
            with ShardReader(stem) as shard:
                problems += _count_problems(stem, shard, shards)
                problems += _id_problems(shard, known.eod_id, known.vocab_size) if known else []
                documents, tokens = documents + len(shard), tokens + shard.tokens
        except InputError as error:
            problems.append(str(error))
    if known is None:
        unchecked.append("EOD and ids: there is neither tokens.json nor a tokenizer (--tokenizer DIR)")
    if (shards.place / MANIFEST).is_file():
        damaged = damaged_files(shards.place, read_manifest(shards.place))
        problems += [f"{shards.place / name} differs from the manifest." for name in damaged]
    else:
        unchecked.append(f"hashes: {shards.place} has no {MANIFEST}")
    return Verified(len(shards.stems), documents, tokens, problems, unchecked)


def _count_problems(stem: Path, shard: ShardReader, shards: Collection) -> list[str]:
    """Does the shard hold what `tokens.json` and its document table say?"""
    problems = []
    listed = shards.record.sources.values() if shards.record else ()
    for record in (record for source in listed for record in source.shards if record.stem == shards.name(stem)):
        if (record.documents, record.tokens) != (len(shard), shard.tokens):
            problems.append(
                f"{shard.bin} has {shard.tokens:,} tokens in {len(shard):,} documents; tokens.json says "
                f"{record.tokens:,} in {record.documents:,}."
            )
    table = documents_path(stem)
    if table.is_file() and not np.array_equal(pq.read_table(table, columns=["tokens"])["tokens"], shard.lengths):
        problems.append(f"{table} does not list the documents of {shard.bin}.")
    return problems


def _id_problems(shard: ShardReader, eod_id: int, vocab_size: int) -> list[str]:
    """The first document without EOD and the first id outside the vocabulary."""
    if (shard.lengths < 1).any():
        return [f"{shard.bin}: document {int(np.argmin(shard.lengths))} is empty, it lacks even its EOD."]
    ends = shard.starts + shard.lengths - 1
    for first in range(0, shard.tokens, CHUNK_TOKENS):
        ids = shard.read(first, min(CHUNK_TOKENS, shard.tokens - first)).astype(np.int64)
        outside = np.flatnonzero((ids >= vocab_size) | (ids < 0))
        if len(outside):
            place = first + int(outside[0])
            document = int(np.searchsorted(ends, place))
            return [
                f"{shard.bin}: document {document} holds id {int(ids[outside[0]]):,}, but the tokenizer has ids "
                f"0 … {vocab_size - 1:,}."
            ]
        low, high = np.searchsorted(ends, [first, first + len(ids)]).tolist()
        last = ids[ends[low:high] - first]
        missing = np.flatnonzero(last != eod_id)
        if len(missing):
            return [
                f"{shard.bin}: document {low + int(missing[0])} ends with id {int(last[missing[0]])}, not with the "
                f"tokenizer's EOD {eod_id}."
            ]
    return []
