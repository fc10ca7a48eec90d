"""Reading a finished corpus: training documents, held-out documents, what the report says of sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from eurolm.artifacts.atomic import read_json
from eurolm.errors import InputError

BATCH_DOCUMENTS = 1024


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


def shards(corpus: Path, source: str | None = None) -> list[Path]:
    """Parquet shards of training documents, in order of source name and number."""
    places = [corpus / "documents" / source] if source else sorted((corpus / "documents").glob("*"))
    found = [path for place in places for path in sorted(place.glob("*.parquet"))]
    if not found:
        missing = f"shards of source {source}" if source else "shards: it is not a finished corpus"
        raise InputError(f"{corpus} has no {missing}.")
    return found


def documents(corpus: Path, *, language: str | None = None, source: str | None = None) -> Iterator[Document]:
    """Training documents in shard order, all or those of one language or source. Bounded memory."""
    for path in shards(corpus, source):
        yield from read_shard(path, language)


def read_shard(path: Path, language: str | None = None) -> Iterator[Document]:
    """Documents of one shard, in order."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH_DOCUMENTS, use_threads=False):
            for row in batch.to_pylist():
                if language is None or row["language"] == language:
                    yield Document(**row)


def heldout(corpus: Path, language: str) -> list[Document]:
    """Held-out documents of a language from all sources, in id order; empty where nothing is held out."""
    files = sorted((corpus / "heldout" / language).glob("*.parquet"))
    return sorted((document for path in files for document in read_shard(path)), key=lambda document: document.id)


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
