"""Count once, train many: pre-token counts per language of a whole corpus, kept as data of their own.

Each corpus shard is counted by itself into `parts/` (one file, one row group per language), so a killed job loses one
shard and shards may be counted anywhere; then the parts are added up per language in shard order, in bounded memory.
The result is `<language>.parquet` (`word`, `count`, most frequent first) and `counts.json`. A further vocabulary size,
algorithm of the same pre-tokens, or weighting is trained from these files without reading the corpus again.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from eurolm.artifacts.atomic import read_json, replacing, write_json
from eurolm.config.tokens import TokenizerConfig
from eurolm.console import Reporter
from eurolm.corpus.documents import shards
from eurolm.errors import InputError
from eurolm.machine.workers import Workers
from eurolm.tokenizer.bounded import BoundedCounts, CountError
from eurolm.tokenizer.pretokens import PreTokenCounter, pre_tokenizer_of
from eurolm.tokenizer.text import Size, selected, sizes

RECIPE = 1
LIBRARIES = ("ffbpe", "polars", "pyarrow")
FILE = "counts.json"

MAX_DISTINCT = 4_000_000
"""Distinct pre-tokens held per language; about 1 GB while counting. 2 GB of Latvian text have fewer."""
DRAIN_DISTINCT = 1_000_000
"""Distinct pre-tokens in the counter before they are moved to the compact table."""
DISTINCT: dict[str, Any] = {"compression": "zstd", "use_dictionary": ["count"], "write_statistics": False}
"""How Parquet keeps words that are all different."""
IN_PROCESS_BYTES = 64_000_000
"""Corpus (compressed) below which worker processes cost more to start than they save."""


@dataclass(frozen=True)
class LanguageCounts:
    """What was counted of one language. Every count is at most `floor` too low, all together `dropped` too low."""

    documents: int
    text_bytes: int
    read_documents: int
    read_bytes: int
    pre_tokens: int
    distinct: int
    floor: int
    dropped: int


@dataclass(frozen=True)
class Counts:
    """Finished counts of a corpus."""

    directory: Path
    pre_tokenizer: str
    languages: dict[str, LanguageCounts]

    def table(self, language: str) -> pl.DataFrame:
        """`word` (string), `count` (uint64) of one language."""
        return pl.read_parquet(self.directory / f"{language}.parquet")


def counts_fields(config: TokenizerConfig) -> dict[str, Any]:
    """What counts depend on besides the corpus: the fields of their fingerprint."""
    return {
        "pre_tokenizer": pre_tokenizer_of(config.algorithm),
        "max_bytes_per_language": config.max_bytes_per_language,
        "max_distinct": MAX_DISTINCT,
    }


def build_counts(config: TokenizerConfig, corpus: Path, out: Path, reporter: Reporter) -> None:
    """Count the corpus into `out`; goes on where a killed attempt stopped, and is a no-op where it is finished.

    Raises InputError for a corpus without text and for a language whose documents are all empty.
    """
    if not (out / FILE).is_file():
        found = shards(corpus)
        workers = config.workers or (1 if sum(path.stat().st_size for path in found) < IN_PROCESS_BYTES else None)
        with Workers(workers, reporter) as pool:
            text = _survey(pool.map(sizes, found, label="sizes", unit="shards"), corpus)
            shares = {name: min(1.0, config.max_bytes_per_language / size.text_bytes) for name, size in text.items()}
            parts = [out / "parts" / path.parent.name / f"{path.stem}.parquet" for path in found]
            pairs = zip(found, parts, strict=True)
            jobs = [CountJob(path, part, shares, pre_tokenizer_of(config.algorithm)) for path, part in pairs]
            pool.map(count_shard, jobs, label="count", unit="shards")
        languages = {name: _merge(name, size, parts, out) for name, size in text.items()}
        told = {name: asdict(counts) for name, counts in languages.items()}
        write_json(out / FILE, {"pre_tokenizer": pre_tokenizer_of(config.algorithm), "languages": told})
        _say(languages, reporter)
    shutil.rmtree(out / "parts", ignore_errors=True)


def read_counts(directory: Path) -> Counts:
    """Finished counts. Raises InputError where there are none."""
    try:
        value = read_json(directory / FILE)
    except FileNotFoundError:
        raise InputError(f"{directory} has no {FILE}: it holds no finished counts.") from None
    languages = {name: LanguageCounts(**facts) for name, facts in value["languages"].items()}
    return Counts(directory, value["pre_tokenizer"], languages)


def _survey(found: list[dict[str, Size]], corpus: Path) -> dict[str, Size]:
    """Text per language of all shards, by language code."""
    text: dict[str, Size] = {}
    for shard in found:
        for language, size in shard.items():
            before = text.get(language, Size(0, 0))
            text[language] = Size(before.documents + size.documents, before.text_bytes + size.text_bytes)
    if not any(size.text_bytes for size in text.values()):
        raise InputError(f"{corpus} has no text left to train a tokenizer on. Loosen the corpus rules or add sources.")
    for language, size in text.items():
        if not size.text_bytes:
            raise InputError(
                f"{corpus}: all {size.documents:,} documents of {language!r} are empty, and a vocabulary must know "
                "every language of its corpus. Give its sources text or leave them out."
            )
    return dict(sorted(text.items()))


@dataclass(frozen=True)
class CountJob:
    """One corpus shard to count and where to put it."""

    shard: Path
    part: Path
    shares: dict[str, float]
    pre_tokenizer: str


def count_shard(job: CountJob) -> None:
    """Count one shard into `job.part`, a row group per language; nothing where that is done."""
    if job.part.is_file():
        return
    counters: dict[str, PreTokenCounter] = {}
    counts: dict[str, BoundedCounts] = {}
    facts: dict[str, Counter[str]] = {}
    for batch in selected(job.shard, job.shares):
        for language, texts in batch.items():
            if language not in counters:
                counters[language] = PreTokenCounter(job.pre_tokenizer)
                counts[language], facts[language] = BoundedCounts(MAX_DISTINCT), Counter()
            counters[language].add(texts)
            facts[language].update(read_documents=len(texts), read_bytes=sum(len(text.encode()) for text in texts))
            if counters[language].distinct > DRAIN_DISTINCT:
                counts[language].add_words(counters[language].drain())
    for language, counter in counters.items():
        counts[language].add_words(counter.drain())
    _write_part(job.part, counts, facts)


def _write_part(part: Path, counts: dict[str, BoundedCounts], facts: dict[str, Counter[str]]) -> None:
    tables = {language: counts[language].table().to_arrow() for language in sorted(counts)}
    told = {language: {**facts[language], **asdict(counts[language].error)} for language in tables}
    schema = pa.schema(BoundedCounts(0).table().to_arrow().schema, metadata={"eurolm": orjson.dumps(told)})
    with replacing(part) as partial, pq.ParquetWriter(partial, schema, **DISTINCT) as writer:
        for table in tables.values():
            writer.write_table(table.replace_schema_metadata(schema.metadata), row_group_size=max(1, table.num_rows))


def _merge(language: str, text: Size, parts: list[Path], out: Path) -> LanguageCounts:
    """Add up the parts of one language and write its table."""
    counts, facts = BoundedCounts(MAX_DISTINCT), Counter[str]()
    for part in parts:
        with pq.ParquetFile(part) as file:
            told = orjson.loads(file.schema_arrow.metadata[b"eurolm"])
            if language not in told:
                continue
            rows = file.read_row_group(list(told).index(language))
        here = Counter[str](told[language])
        facts += here
        counts.add(pl.DataFrame(rows), CountError(here["floor"], here["dropped"]))
    table = counts.table().sort("count", "word", descending=[True, False])
    with replacing(out / f"{language}.parquet") as partial:
        pq.write_table(table.to_arrow(), partial, **DISTINCT)
    return LanguageCounts(
        documents=text.documents,
        text_bytes=text.text_bytes,
        read_documents=facts["read_documents"],
        read_bytes=facts["read_bytes"],
        pre_tokens=int(table["count"].sum()),
        distinct=table.height,
        floor=counts.error.floor,
        dropped=counts.error.dropped,
    )


def _say(languages: Mapping[str, LanguageCounts], reporter: Reporter) -> None:
    for language, counts in languages.items():
        reporter.say(
            f"  {language}: {counts.pre_tokens:,} pre-tokens, {counts.distinct:,} distinct, in {counts.read_bytes:,} "
            f"of {counts.text_bytes:,} bytes"
        )
        if counts.dropped:
            reporter.warn(
                f"{language}: more than {MAX_DISTINCT:,} distinct pre-tokens; the rarest were dropped, "
                f"{counts.dropped:,} of {counts.pre_tokens + counts.dropped:,} occurrences. A count is at most "
                f"{counts.floor:,} too low."
            )
