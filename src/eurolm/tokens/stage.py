"""The tokens stage: corpus shards become token shards, one unit each; or foreign shards are verified and described."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow.parquet as pq

from eurolm.artifacts.atomic import PARTIAL_MARK
from eurolm.artifacts.manifest import MANIFEST, damaged_files, read_manifest
from eurolm.config.tokens import TokensConfig
from eurolm.console import Reporter
from eurolm.corpus.documents import shards as corpus_shards
from eurolm.corpus.forget import loaded as forgotten
from eurolm.errors import ConfigError, InputError
from eurolm.machine.workers import map_shards
from eurolm.tokenizer.load import LoadedTokenizer, load
from eurolm.tokenizer.text import UNKNOWN
from eurolm.tokens.adopt import adopt_foreign, foreign_files
from eurolm.tokens.description import (
    FILE,
    ShardRecord,
    SourceRecord,
    TokensRecord,
    check_tokenizer,
    read_description,
    write_description,
)
from eurolm.tokens.encode import EncodeJob, documents_path, encode_shard
from eurolm.tokens.engine import Choice, choose, opened
from eurolm.tokens.probe import corpus_texts
from eurolm.tokens.shards import type_for

RECIPE = 1
LIBRARIES = ("pyarrow", "tokenizers")

Totals = dict[str, Counter[str]]
"""Documents, tokens and text bytes per language."""

IN_PROCESS_BYTES = 64_000_000
"""Corpus (compressed) below which worker processes cost more to start than they save: threads encode instead."""


def input_files(config: TokensConfig) -> list[Path]:
    """Files of `tokens.use`. Raises InputError when there are none."""
    if config.use is None:
        return []
    own = config.use / FILE
    return [own] if own.is_file() else foreign_files(config.use)


def build_tokens(
    config: TokensConfig,
    corpus: Path | None,
    tokenizer: Path,
    out: Path,
    reporter: Reporter,
    forget: Sequence[Path] = (),
) -> Choice | None:
    """Fill `out`: encode `corpus` without the documents of the lists `forget` and say with which engine, or describe
    the shards of `tokens.use`."""
    if config.use is not None:
        describe_used(config.use, tokenizer, out, reporter)
        return None
    if corpus is not None:
        return encode_corpus(config, corpus, tokenizer, out, reporter, forget)
    raise ConfigError("tokens: there is neither a corpus to encode nor tokens.use. Set one of them.")


def encode_corpus(
    config: TokensConfig,
    corpus: Path,
    tokenizer: Path,
    out: Path,
    reporter: Reporter,
    forget: Sequence[Path] = (),
) -> Choice:
    """Encode every corpus shard into `out`/<source>/NNNNN.{bin,idx,documents.parquet}, then write `tokens.json`.

    The engine is no part of it, because it changes no byte; it is returned for the run's records. Raises InputError
    for an empty corpus and for documents that cannot be encoded (see `encode_shard`).
    """
    for leftover in out.rglob(f"*{PARTIAL_MARK}*"):
        leftover.unlink()
    loaded = opened(tokenizer)
    shards = corpus_shards(corpus)
    choice = choose(
        config.engine, loaded, corpus_texts(shards, forgotten(forget)) if config.engine != "tokenizers" else []
    )
    reporter.say(f"  encoding with {choice.engine}: {choice.reason}", **asdict(choice))
    jobs = [
        EncodeJob(path, out / path.parent.name / path.stem, tokenizer, choice.engine, tuple(forget)) for path in shards
    ]
    size = sum(path.stat().st_size for path in shards)
    workers = config.workers or (1 if size < IN_PROCESS_BYTES else None)
    map_shards(encode_shard, jobs, workers=workers, label="encode", unit="shards", reporter=reporter)
    record = _describe(out, [job.stem for job in jobs], loaded)
    if forget:
        documents = sum(pq.read_metadata(path).num_rows for path in shards)
        record = replace(record, forgotten=documents - sum(source.documents for source in record.sources.values()))
    if not record.sources:
        raise InputError(f"{corpus} has no documents to encode. Loosen the corpus rules or add sources.")
    write_description(out, record)
    _say(record, reporter)
    return choice


def describe_used(used: Path, tokenizer: Path, out: Path, reporter: Reporter) -> None:
    """Write a `tokens.json` into `out` that points at finished shards elsewhere, after verifying them.

    Raises InputError for shards made with another tokenizer, damaged ones, and foreign ones without EOD.
    """
    loaded = load(tokenizer)
    place = used.resolve()
    if (place / FILE).is_file():
        if (place / MANIFEST).is_file() and (damaged := damaged_files(place, read_manifest(place))):
            first = f"{len(damaged)} files differ from the manifest, first {damaged[0]}"
            raise InputError(f"tokens.use = {place}: {first}. Copy them again, or encode again.")
        own = read_description(place)
        check_tokenizer(place, own, loaded)
        write_description(out, TokensRecord(**{**vars(own), "directory": str(own.shards_in(place))}))
        return
    adopted = adopt_foreign(place, tokenizer)
    write_description(out, adopted.record, adopted.checks)
    reporter.say(f"  {place}: {adopted.summary}")


def _describe(out: Path, stems: list[Path], loaded: LoadedTokenizer) -> TokensRecord:
    sources: dict[str, dict[str, Totals]] = {}
    for stem in stems:
        if documents_path(stem).is_file():
            sources.setdefault(stem.parent.name, {})[stem.relative_to(out).as_posix()] = _totals(documents_path(stem))
    return TokensRecord(
        tokenizer_sha256=loaded.sha256,
        vocab_size=loaded.vocab_size,
        eod_id=loaded.eod_id,
        dtype=type_for(loaded.vocab_size).name,
        directory=None,
        sources={name: _source(shards) for name, shards in sorted(sources.items())},
    )


def _totals(path: Path) -> Totals:
    """Per language of a shard: documents, tokens, text bytes."""
    table = pq.read_table(path, columns=["language", "tokens", "bytes"])
    language = table["language"].fill_null(UNKNOWN)
    table = table.set_column(0, "language", language)
    sums = table.group_by("language").aggregate([("tokens", "count"), ("tokens", "sum"), ("bytes", "sum")])
    return {
        row["language"]: Counter(documents=row["tokens_count"], tokens=row["tokens_sum"], text_bytes=row["bytes_sum"])
        for row in sums.to_pylist()
    }


def _shard(stem: str, totals: Totals) -> ShardRecord:
    whole: Counter[str] = sum(totals.values(), Counter())
    return ShardRecord(stem, whole["documents"], whole["tokens"], whole["text_bytes"])


def _source(shards: dict[str, Totals]) -> SourceRecord:
    languages: Totals = {}
    records = []
    for stem, totals in shards.items():
        for language, counts in totals.items():
            languages.setdefault(language, Counter()).update(counts)
        records.append(_shard(stem, totals))
    only = next(iter(languages)) if len(languages) == 1 else None
    whole: Counter[str] = sum(languages.values(), Counter())
    return SourceRecord(
        language=None if only == UNKNOWN else only,
        documents=whole["documents"],
        tokens=whole["tokens"],
        text_bytes=whole["text_bytes"],
        languages={language: dict(counts) for language, counts in sorted(languages.items())},
        shards=tuple(records),
    )


def _say(record: TokensRecord, reporter: Reporter) -> None:
    tokens = sum(source.tokens for source in record.sources.values())
    size = sum(source.text_bytes or 0 for source in record.sources.values())
    reporter.say(
        f"  {tokens:,} tokens of {size:,} bytes ({size / tokens:.2f} bytes per token) in {len(record.sources)} sources",
        tokens=tokens,
    )
