"""Adoption of foreign Megatron shards: found, verified, described, never copied.

Whole shards: sizes of both files, contiguous pointers. Sampled documents (the first, the last and up to 1,000 spread
evenly over each shard): they end with the tokenizer's EOD and hold only ids of its vocabulary. The checks that were
made are counted and stored, so nobody has to guess what "verified" meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eurolm.errors import InputError
from eurolm.tokenizer.load import LoadedTokenizer, load
from eurolm.tokens.description import ShardRecord, SourceRecord, TokensRecord
from eurolm.tokens.shards import ShardReader

SAMPLED_DOCUMENTS = 1000
SAMPLED_TOKENS = 65_536
"""Of one document at most so many ids are looked at, from its start; its last one always."""

MEGATRON_SUFFIX = re.compile(r"_(text|content)_(document|sentence)$")
"""What Megatron-LM's `preprocess_data.py` appends to the output prefix: JSON key and level."""


@dataclass(frozen=True)
class AdoptedShards:
    """Foreign shards as a tokens record, and what was verified."""

    record: TokensRecord
    checks: dict[str, Any]
    summary: str
    """One sentence for a person."""


def foreign_files(directory: Path) -> list[Path]:
    """All `.bin` and `.idx` files of a directory of foreign shards, in path order. Raises InputError without any."""
    if not directory.is_dir():
        raise InputError(f"tokens.use = {directory} is not a directory.")
    files = sorted(path for level in ("*", "*/*") for path in directory.glob(level) if path.suffix in (".bin", ".idx"))
    if not files:
        raise InputError(
            f"tokens.use = {directory} holds neither tokens.json nor Megatron shards "
            "(<source>/*.bin + .idx, or *.bin + .idx)."
        )
    return files


def adopt_foreign(directory: Path, tokenizer: Path) -> AdoptedShards:
    """Verify Megatron shards against a tokenizer and describe them.

    A subdirectory is a source; a shard in the directory itself is a source of its own, named after its file without
    `_text_document`. Raises InputError naming the shard that is damaged, misses EOD, or holds foreign ids.
    """
    loaded = load(tokenizer)
    checked: dict[str, dict[str, int]] = {}
    sources: dict[str, list[ShardRecord]] = {}
    kinds: set[str] = set()
    for name, stem in named_stems(directory):
        with ShardReader(stem) as shard:
            relative = stem.relative_to(directory).as_posix()
            checked[relative] = _check(shard, loaded)
            if len(shard):
                sources.setdefault(name, []).append(ShardRecord(relative, len(shard), shard.tokens, None))
                kinds.add(shard.dtype.name)
    if not sources:
        raise InputError(f"tokens.use = {directory}: all of its shards are empty.")
    record = TokensRecord(
        tokenizer_sha256=loaded.sha256,
        vocab_size=loaded.vocab_size,
        eod_id=loaded.eod_id,
        dtype=kinds.pop() if len(kinds) == 1 else None,
        directory=str(directory.resolve()),
        sources={name: _source(shards) for name, shards in sorted(sources.items())},
    )
    return AdoptedShards(record, {"shards": checked}, _summary(record, checked))


def named_stems(directory: Path) -> list[tuple[str, Path]]:
    """Source and stem of every shard in a directory. Raises InputError where there is none."""
    stems = sorted({path.with_suffix("") for path in foreign_files(directory)})
    flat = [stem for stem in stems if stem.parent == directory]
    short = [MEGATRON_SUFFIX.sub("", stem.name) for stem in flat]
    taken = short + [stem.parent.name for stem in stems if stem.parent != directory]
    names = {stem: name if taken.count(name) == 1 else stem.name for stem, name in zip(flat, short, strict=True)}
    return [(names.get(stem, stem.parent.name), stem) for stem in stems]


def _check(shard: ShardReader, loaded: LoadedTokenizer) -> dict[str, int]:
    count = len(shard)
    picked = np.unique(np.linspace(0, count - 1, min(count, SAMPLED_DOCUMENTS)).round().astype(np.int64))
    looked_at = 0
    for number in picked.tolist() if count else []:
        start, length = int(shard.starts[number]), int(shard.lengths[number])
        last = int(shard.read(start + length - 1, 1)[0]) if length else None
        if last != loaded.eod_id:
            raise InputError(
                f"{shard.bin}: document {number} of {count:,} ends with "
                f"{'nothing' if last is None else f'id {last}'}, not with the tokenizer's EOD {loaded.eod_id}. "
                "Every document must: run preprocess_data.py again with --append-eod, or set tokenizer.use to the "
                "tokenizer of these shards."
            )
        ids = shard.read(start, min(length, SAMPLED_TOKENS))
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= loaded.vocab_size:
            raise InputError(
                f"{shard.bin}: document {number} of {count:,} holds id {low if low < 0 else high:,}, but the "
                f"tokenizer has ids 0 … {loaded.vocab_size - 1:,}. Set tokenizer.use to the tokenizer of these shards."
            )
        looked_at += len(ids)
    return {"documents": count, "documents_checked": len(picked) if count else 0, "ids_checked": looked_at}


def _source(shards: list[ShardRecord]) -> SourceRecord:
    return SourceRecord(
        language=None,
        documents=sum(shard.documents for shard in shards),
        tokens=sum(shard.tokens for shard in shards),
        text_bytes=None,
        languages={},
        shards=tuple(shards),
    )


def _summary(record: TokensRecord, checked: dict[str, dict[str, int]]) -> str:
    documents = sum(check["documents"] for check in checked.values())
    looked_at = sum(check["documents_checked"] for check in checked.values())
    ids = sum(check["ids_checked"] for check in checked.values())
    tokens = sum(source.tokens for source in record.sources.values())
    return (
        f"{len(checked)} foreign shards, {documents:,} documents, {tokens:,} tokens; sizes and pointers of all, "
        f"EOD and vocabulary of {looked_at:,} documents ({ids:,} ids) checked"
    )
