"""From records as sources wrote them to document columns: mapped fields, NFC, stable ids, sample.

An id is the 128-bit xxh3 of the source's name and the record's native key, else its URL, else its file and place. It
never depends on the text, so cleaning differently keeps ids, and a removal request finds its document.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import polars as pl
import xxhash

from eurolm.config.corpus import CorpusConfig, SourceConfig
from eurolm.corpus.readers import Batch, Invalid, Record, read_batches
from eurolm.corpus.units import Unit
from eurolm.errors import InputError

COLUMNS = ("id", "text", "language", "source", "license", "url", "date", "group", "register", "meta")
"""Columns of a document, all strings; every one but `id`, `text`, `language` and `source` may be null."""

SCHEMA = pl.Schema(dict.fromkeys(COLUMNS, pl.String()))


def document_frame(records: list[Record], source: SourceConfig) -> pl.DataFrame:
    """Documents of `records`, in order; `language` is null until it is detected."""
    return pl.DataFrame([_document(record, source) for record in records], schema=SCHEMA, orient="row")


def in_sample(frame: pl.DataFrame, share: float) -> pl.DataFrame:
    """The documents that belong to a sample of this share: by id, so a larger sample holds the smaller one."""
    if share >= 1.0:
        return frame
    return frame.filter(pl.Series([_uniform(document) < share for document in frame["id"]], dtype=pl.Boolean))


def document_id(source: str, kind: str, key: str) -> str:
    """32 hex digits. `kind` (key, url, place) keeps a URL that equals another record's key apart."""
    return xxhash.xxh3_128_hexdigest(f"{source}\0{kind}\0{key}".encode())


def normalise(text: str) -> str:
    """NFC with `\\n` line ends."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def _uniform(document: str) -> float:
    """In [0, 1), from the id's own bits."""
    return int(document[:13], 16) / 16**13


def _document(record: Record, source: SourceConfig) -> tuple[str | None, ...]:
    names, fields = source.fields, record.fields
    key, url = _string(fields.get(names.id)), _string(fields.get(names.url))
    if key is not None:
        document = document_id(source.name, "key", key)
    elif url is not None:
        document = document_id(source.name, "url", url)
    else:
        document = document_id(source.name, "place", f"{record.file}\0{record.place}")
    return (
        document,
        normalise(fields[names.text]),
        None,
        source.name,
        _string(fields.get(names.license)) or source.license,
        url,
        _string(fields.get(names.date)),
        _string(fields.get(names.group)),
        _string(fields.get(names.register_)) or source.register_,
        _meta(fields, source),
    )


def _string(value: Any) -> str | None:
    """A field as text; empty and null are the same."""
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS).decode()


def _meta(fields: dict[str, Any], source: SourceConfig) -> str | None:
    """The scalar fields that have no column of their own, as JSON with the source's native key; nested ones stay
    behind, because crawls keep whole copies of the text in them."""
    names = source.fields
    mapped = {names.text, names.license, names.url, names.date, names.group, names.register_}
    rest = {
        name: value
        for name, value in fields.items()
        if name not in mapped and name not in ("source", "language", "lang") and value is not None and _is_scalar(value)
    }
    return _json(rest) if rest else None


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, (dict, list, tuple, bytes))


@dataclass
class Tally:
    """What a unit held besides documents."""

    records: int = 0
    outside_sample: int = 0
    invalid: Invalid = field(default_factory=Invalid)

    def add(self, batch: Batch, documents: int, sampled: int) -> None:
        """Count a batch of which `documents` were valid and `sampled` of these in the sample."""
        self.records += documents + batch.invalid.total
        self.outside_sample += documents - sampled
        for cause, count in batch.invalid.counts.items():
            self.invalid.counts[cause] = self.invalid.counts.get(cause, 0) + count
        self.invalid.first = self.invalid.first or batch.invalid.first


def unit_documents(unit: Unit, config: CorpusConfig, tally: Tally) -> Iterator[pl.DataFrame]:
    """The unit's documents in file order, frame by frame; every pass over a unit sees the same rows.

    Counts into `tally`. Raises InputError when the first batch holds records and not one of them is a document.
    """
    source = config.sources[unit.source]
    for batch in read_batches(unit, source):
        whole = document_frame(batch.records, source)
        frame = in_sample(whole, config.sample_share)
        if not tally.records and not len(whole) and batch.invalid.total and config.max_invalid_share < 1:
            raise InputError(_nothing_valid(batch, source))
        tally.add(batch, len(whole), len(frame))
        yield frame


def _nothing_valid(batch: Batch, source: SourceConfig) -> str:
    causes = ", ".join(f"{count:,} {cause}" for cause, count in sorted(batch.invalid.counts.items()))
    return (
        f"corpus source {source.name}: none of the first {batch.invalid.total:,} records is a document "
        f"({causes}; first: {batch.invalid.first}). Check `format`, and `fields.text`, which is {source.fields.text!r}."
    )
