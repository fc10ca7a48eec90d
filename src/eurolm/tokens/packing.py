"""Pack indexes of all shards, one per row length: documents in seeded order, rows, valid targets.

Built once, shard by shard; the order depends on the seed, the shard's name and nothing else, so the index of a shard
is the same however many shards stand beside it. Best-fit works in windows of at least 50,000 documents of the
seeded order, which keeps the documents of a row a random sample while the padding stays below a thousandth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eurolm.artifacts.atomic import PARTIAL_MARK, read_json, write_json
from eurolm.artifacts.hashing import sha256_json
from eurolm.config.tokens import MixtureConfig
from eurolm.console import Reporter
from eurolm.errors import ConfigError, InputError
from eurolm.machine.workers import map_shards
from eurolm.tokenizer.load import load
from eurolm.tokens.bestfit import Pieces, best_fit, concatenate
from eurolm.tokens.description import check_tokenizer, read_description
from eurolm.tokens.order import seed64, shuffled
from eurolm.tokens.pack_index import (
    PIECE,
    PackIndex,
    is_written,
    link_pack_index,
    read_pack_index,
    write_pack_index,
)
from eurolm.tokens.shards import ShardReader

RECIPE = 2
FILE = "packs.json"
WINDOW_DOCUMENTS = 50_000

IN_PROCESS_DOCUMENTS = 1_000_000
"""Documents × row lengths below which starting worker processes costs more than it saves."""


@dataclass(frozen=True)
class PackJob:
    """One unit: the index of one shard at one row length. Plain values, so that it travels to a worker process."""

    stem: Path
    """The shard."""
    out: Path
    """The index, without suffix."""
    name: str
    """`<source>/NNNNN`: what the document order is seeded with."""
    row_tokens: int
    mode: str
    seed: int
    kept_in: Path | None = None
    """Where finished indexes are kept for later builds; null keeps none."""


@dataclass(frozen=True)
class PackCounts:
    """What packing did to a shard."""

    stem: str
    documents: int
    tokens: int
    """Tokens in the shard, EODs included; checked when the shard is opened for training."""
    rows: int
    targets: int
    padding: int
    """Row positions without content."""
    cut: int
    """Documents that lie in more than one row."""
    cut_needlessly: int
    """Of these, documents that would have fitted one row; 0 with best-fit."""


def build_packs(
    mixture: MixtureConfig,
    tokens: Path,
    tokenizer: Path,
    out: Path,
    reporter: Reporter,
    kept_in: Path | None = None,
) -> None:
    """Write `<row_tokens>-<mode>/<source>/NNNNN.*.npy` for every row length of the phases, then `packs.json`.

    The index of each shard is kept in `kept_in` and linked from `out`, so that shards added later cost only their own.

    Raises ConfigError without phases, InputError for damaged shards or shards of another tokenizer.
    """
    for leftover in out.rglob(f"*{PARTIAL_MARK}*"):
        leftover.unlink()
    if not mixture.phases:
        raise ConfigError("mixture.phases is empty: add at least one phase with tokens, row_tokens and batch_rows.")
    record = read_description(tokens)
    check_tokenizer(tokens, record, load(tokenizer))
    lengths = sorted({phase.row_tokens for phase in mixture.phases})
    jobs, owners = [], []
    for row_tokens in lengths:
        for source, facts in record.sources.items():
            for shard in facts.shards:
                place = out / folder(row_tokens, mixture.packing) / shard.stem
                stem = record.shards_in(tokens) / shard.stem
                jobs.append(PackJob(stem, place, shard.stem, row_tokens, mixture.packing, mixture.seed, kept_in))
                owners.append((folder(row_tokens, mixture.packing), source))
    work = sum(source.documents for source in record.sources.values()) * len(lengths)
    workers = 1 if work < IN_PROCESS_DOCUMENTS else None
    counts = map_shards(pack_shard, jobs, workers=workers, label="pack", unit="indexes", reporter=reporter)
    indexes: dict[str, dict[str, list[PackCounts]]] = {}
    for (index, source), count in zip(owners, counts, strict=True):
        indexes.setdefault(index, {}).setdefault(source, []).append(count)
    write_json(
        out / FILE,
        {
            "seed": mixture.seed,
            "packing": mixture.packing,
            "eod_id": record.eod_id,
            "indexes": {
                index: {source: [asdict(count) for count in shards] for source, shards in sources.items()}
                for index, sources in indexes.items()
            },
        },
    )
    for index, sources in indexes.items():
        _say(index, [count for shards in sources.values() for count in shards], reporter)


def folder(row_tokens: int, mode: str) -> str:
    """Directory name of the indexes of one row length and mode."""
    return f"{row_tokens}-{mode}"


def read_packs(packs: Path) -> tuple[dict[str, dict[str, list[PackCounts]]], int]:
    """`packs.json` as counts per index directory, source and shard, and the EOD id. Raises InputError when damaged."""
    path = packs / FILE
    if not path.is_file():
        raise InputError(f"{path} is missing: {packs} is not a finished pack index.")
    try:
        value = read_json(path)
        indexes = {
            index: {source: [PackCounts(**shard) for shard in shards] for source, shards in sources.items()}
            for index, sources in value["indexes"].items()
        }
        return indexes, int(value["eod_id"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} is damaged or of another version. Delete {packs} and run again.") from None


def pack_shard(job: PackJob) -> PackCounts:
    """Build the index of one shard, or take the one kept from an earlier build, whatever shards stood beside it then.

    Raises InputError for an empty document and for a kept index that is damaged.
    """
    with ShardReader(job.stem) as shard:
        if (shard.lengths < 1).any():
            raise InputError(f"{shard.bin}: document {int(np.argmin(shard.lengths))} is empty, it lacks even its EOD.")
    kept = job.kept_in / _fingerprint(job, shard) if job.kept_in else job.out
    if is_written(kept):
        PackIndex(kept)
        rows, pieces = read_pack_index(kept)
    else:
        order = shuffled(len(shard), seed64("documents", job.seed, job.name))
        framed = shard.lengths[order] + 1
        rows, pieces = _assemble(list(_windows(framed, job)), shard, order, framed)
        write_pack_index(kept, rows, pieces)
    counts = _count(job, shard, rows, pieces)
    if counts.targets != shard.tokens:
        raise InputError(
            f"{kept}.*: this pack index predicts {counts.targets:,} of the shard's {shard.tokens:,} tokens: it is "
            "damaged. Delete these files and run again."
        )
    if kept != job.out:
        link_pack_index(kept, job.out)
    return counts


def kept_indexes(mixture: MixtureConfig, tokens: Path, kept_in: Path) -> list[Path]:
    """Files of `kept_in` from which `build_packs` takes the indexes of these shards: carried along with the shards,
    they save another machine the work."""
    record = read_description(tokens)
    found: list[Path] = []
    for row_tokens in sorted({phase.row_tokens for phase in mixture.phases}):
        for name in (shard.stem for source in record.sources.values() for shard in source.shards):
            stem = record.shards_in(tokens) / name
            job = PackJob(stem, kept_in, name, row_tokens, mixture.packing, mixture.seed)
            with ShardReader(stem) as shard:
                found += kept_in.glob(f"{_fingerprint(job, shard)}.*")
    return found


def _fingerprint(job: PackJob, shard: ShardReader) -> str:
    """Everything that determines the index: lengths of the documents, their order, how they are packed."""
    lengths = hashlib.sha256(shard.lengths.astype("<i8").tobytes()).hexdigest()
    return sha256_json([RECIPE, job.name, lengths, job.row_tokens, job.mode, job.seed])[:16]


def _windows(framed: NDArray[np.int64], job: PackJob) -> Iterator[tuple[int, Pieces]]:
    """Packed windows with the position of their first document in the seeded order. A framed document has one
    position more than the shard stores: the EOD that opens it."""
    if job.mode == "concat":
        yield 0, concatenate(framed, job.row_tokens)
        return
    bounds = np.linspace(0, len(framed), max(1, len(framed) // WINDOW_DOCUMENTS) + 1).astype(np.int64).tolist()
    for first, last in pairwise(bounds):
        yield first, best_fit(framed[first:last], job.row_tokens)


def _assemble(
    windows: list[tuple[int, Pieces]], shard: ShardReader, order: NDArray[np.int64], framed: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.void]]:
    """Row starts and pieces of all windows; `framed`: lengths in the seeded order."""
    rows: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
    pieces = np.empty(sum(len(packed.item) for _, packed in windows), PIECE)
    before = 0
    for first, packed in windows:
        part = pieces[before : before + len(packed.item)]
        item = packed.item + first
        part["document"] = document = order[item]
        part["position"] = shard.starts[document] + packed.start - 1
        part["length"] = packed.length
        part["begins"] = packed.start == 0
        part["ends"] = packed.start + packed.length == framed[item]
        rows.append(packed.rows[1:] + before)
        before += len(part)
    return np.concatenate(rows), pieces


def _count(job: PackJob, shard: ShardReader, rows: NDArray[np.int64], pieces: NDArray[np.void]) -> PackCounts:
    times = np.bincount(pieces["document"], minlength=len(shard))
    fits = shard.lengths + 1 <= job.row_tokens
    filled = int(pieces["length"].sum(dtype=np.int64))
    return PackCounts(
        stem=job.name,
        documents=len(shard),
        tokens=shard.tokens,
        rows=len(rows) - 1,
        targets=filled - int(pieces["ends"].sum()),
        padding=(len(rows) - 1) * job.row_tokens - filled,
        cut=int((times > 1).sum()),
        cut_needlessly=int(((times > 1) & fits).sum()),
    )


def _say(index: str, counts: list[PackCounts], reporter: Reporter) -> None:
    row_tokens = int(index.split("-")[0])
    rows = sum(count.rows for count in counts)
    padding = sum(count.padding for count in counts) / max(rows * row_tokens, 1)
    documents, cut = sum(count.documents for count in counts), sum(count.cut for count in counts)
    reporter.say(
        f"  {index}: {rows:,} rows of {row_tokens:,} tokens, {padding:.2%} padding, "
        f"{cut:,} of {documents:,} documents longer than a row or cut",
        rows=rows,
        padding=padding,
    )
