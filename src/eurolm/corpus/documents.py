"""Reading a finished corpus: training documents, held-out documents, what the report says of sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eurolm.artifacts.atomic import read_json
from eurolm.corpus.forget import NOTHING, Forgotten
from eurolm.errors import InputError

BATCH_DOCUMENTS = 1024
KEYS = ("id", "url")


@dataclass(frozen=True)
class Document:
    """One document; fields that its source did not give are null."""

    id: str
    text: str
    language: str
    source: str
    license: str | None
    url: str | None
    date: str | None
    group: str | None
    register: str | None
    meta: str | None


@dataclass(frozen=True)
class SourceSummary:
    """Training documents of a source: how many, their UTF-8 bytes, how many per language."""

    name: str
    documents: int
    text_bytes: int
    languages: dict[str, int]
    heldout: int


@dataclass(frozen=True)
class LeftOut:
    """What forget lists take out of a corpus: training and held-out documents, and the entries that no document has
    (a URL matches under any spelling of its scheme and host)."""

    documents: int
    heldout: int
    unmatched: tuple[str, ...]


def shards(corpus: Path, source: str | None = None) -> list[Path]:
    """Parquet shards of training documents, in order of source name and number."""
    places = [corpus / "documents" / source] if source else sorted((corpus / "documents").glob("*"))
    found = [path for place in places for path in sorted(place.glob("*.parquet"))]
    if not found:
        missing = f"shards of source {source}" if source else "shards: it is not a finished corpus"
        raise InputError(f"{corpus} has no {missing}.")
    return found


def documents(
    corpus: Path, *, language: str | None = None, source: str | None = None, forgotten: Forgotten = NOTHING
) -> Iterator[Document]:
    """Training documents in shard order, all or those of one language or source. Bounded memory."""
    for path in shards(corpus, source):
        yield from read_shard(path, language, forgotten)


def read_shard(path: Path, language: str | None = None, forgotten: Forgotten = NOTHING) -> Iterator[Document]:
    """Documents of one shard, in order, without the forgotten ones."""
    for batch in batches(path, forgotten=forgotten):
        for row in batch.to_pylist():
            if language is None or row["language"] == language:
                yield Document(**row)


def batches(
    path: Path, columns: Sequence[str] | None = None, forgotten: Forgotten = NOTHING
) -> Iterator[pa.RecordBatch]:
    """The given columns of a shard (all by default) in batches of at most `BATCH_DOCUMENTS` rows, without the forgotten
    documents; every reader of a corpus passes its shards through here."""
    with pq.ParquetFile(path) as file:
        wanted = list(columns or file.schema_arrow.names)
        read = list(dict.fromkeys([*wanted, *(KEYS if forgotten else ())]))
        for batch in file.iter_batches(BATCH_DOCUMENTS, columns=read, use_threads=False):
            if forgotten:
                batch = batch.filter(pa.array([not entries for entries in _entries(batch, forgotten)], pa.bool_()))
            yield batch.select(wanted)


def _entries(batch: pa.RecordBatch, forgotten: Forgotten) -> list[list[str]]:
    """The entries that leave each row out; none for one that stays."""
    ids, urls = (batch[name].to_pylist() for name in KEYS)
    return [forgotten.entries(document, url) for document, url in zip(ids, urls, strict=True)]


def heldout(corpus: Path, language: str, forgotten: Forgotten = NOTHING) -> list[Document]:
    """Held-out documents of a language from all sources, in id order; empty where nothing is held out."""
    files = sorted((corpus / "heldout" / language).glob("*.parquet"))
    found = (document for path in files for document in read_shard(path, forgotten=forgotten))
    return sorted(found, key=lambda document: document.id)


def left_out(corpus: Path, forgotten: Forgotten) -> LeftOut:
    """What the lists take out of a finished corpus, so that it can be told once; reads ids and URLs only."""
    counts, matched = [0, 0], set[str]()
    heldout_files = sorted((corpus / "heldout").glob("*/*.parquet"))
    for place, paths in enumerate((shards(corpus), heldout_files)):
        for path in paths if forgotten else ():
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(BATCH_DOCUMENTS, columns=list(KEYS), use_threads=False):
                    found = [entries for entries in _entries(batch, forgotten) if entries]
                    counts[place] += len(found)
                    matched.update(*found)
    unmatched = tuple(sorted((forgotten.ids | forgotten.urls) - matched))
    return LeftOut(documents=counts[0], heldout=counts[1], unmatched=unmatched)


def languages(corpus: Path) -> list[str]:
    """Languages that have training documents, sorted."""
    return sorted(report(corpus)["totals"]["language"])


def sources(corpus: Path) -> dict[str, SourceSummary]:
    """What each source gave, in the order of the config."""
    return {
        name: SourceSummary(name, entry["kept"], entry["kept_bytes"], entry["language"], entry["heldout"])
        for name, entry in report(corpus)["sources"].items()
    }


def report(corpus: Path) -> dict[str, Any]:
    """`report.json` of a finished corpus. Raises InputError where there is none."""
    try:
        value = read_json(corpus / "report.json")
    except FileNotFoundError:
        raise InputError(f"{corpus} has no report.json: it is not a finished corpus.") from None
    except ValueError as error:
        raise InputError(f"{corpus / 'report.json'} is not JSON: {error}.") from None
    return dict(value)
