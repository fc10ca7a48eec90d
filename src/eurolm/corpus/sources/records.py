"""From records as sources wrote them to document columns: mapped fields, NFC, stable ids, sample.

An id is the 128-bit xxh3 of the source's name and the record's native key, else its URL, else its file and place. It
never depends on the text, so cleaning differently keeps ids, and a removal request finds its document.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import polars as pl
import xxhash

from eurolm.config.corpus import CorpusConfig, SourceConfig
from eurolm.corpus.sources.batches import Batch, Invalid, Record
from eurolm.corpus.sources.domains import registered_domains
from eurolm.corpus.sources.readers import read_batches
from eurolm.corpus.sources.units import Unit
from eurolm.errors import InputError

COLUMNS = ("id", "text", "language", "source", "license", "url", "date", "group", "register", "meta")
"""Columns of a document, all strings; every one but `id`, `text`, `language` and `source` may be null."""

SCHEMA = pl.Schema(dict.fromkeys(COLUMNS, pl.String()))
MANY_DOMAINS = 20
"""A batch with documents of more domains than this comes from the web."""


def document_frame(records: list[Record], source: SourceConfig, by_domain: bool = False) -> pl.DataFrame:
    """Documents of `records`, in order; `language` is null until it is detected. `by_domain` groups by the registered
    domain of the URL what has no group of its own."""
    own = _own_columns(source)
    columns = zip(*(_document(record, source, own) for record in records), strict=True)
    frame = pl.DataFrame(dict(zip(COLUMNS, columns, strict=False)), schema=SCHEMA)
    if by_domain:
        frame = frame.with_columns(group=pl.coalesce("group", registered_domains(frame["url"])))
    return frame


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


def _document(record: Record, source: SourceConfig, own: frozenset[str]) -> tuple[str | None, ...]:
    names, fields = source.fields, record.fields
    key, url = _string(fields.get(names.id)), _string(fields.get(names.url))
    if key is not None:
        document = document_id(source.name, "key", key)
    elif url is not None:
        document = document_id(source.name, "url", url)
    else:
        document = document_id(source.name, "place", f"{record.file}\0{record.place}")
    # The scalar fields that have no column of their own, with the source's native key; nested ones stay behind,
    # because crawls keep whole copies of the text in them.
    rest = {name: value for name, value in fields.items() if name not in own and _is_scalar(value)}
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
        _json(rest) if rest else None,
    )


def _own_columns(source: SourceConfig) -> frozenset[str]:
    """Fields of a record that `meta` leaves out."""
    names = source.fields
    mapped = {names.text, names.license, names.url, names.date, names.group, names.register_}
    return frozenset({*mapped, "source", "language", "lang"})


def _string(value: Any) -> str | None:
    """A field as text; empty and null are the same."""
    if isinstance(value, str):
        return value or None
    if value is None:
        return None
    text = _json(value)
    return str(orjson.loads(text)) if text.startswith('"') else text


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS).decode()


def _is_scalar(value: Any) -> bool:
    return value is not None and not isinstance(value, (dict, list, tuple, bytes))


@dataclass
class Tally:
    """What a unit held besides documents. `records` are documents and invalid ones; `skipped` counts what is neither,
    by cause; `fields` are the mapped fields (by their names in the config) that occurred, sorted."""

    records: int = 0
    outside_sample: int = 0
    invalid: Invalid = field(default_factory=Invalid)
    skipped: dict[str, int] = field(default_factory=dict)
    fields: list[str] = field(default_factory=list)

    def add(self, batch: Batch, documents: int, sampled: int) -> None:
        """Count a batch of which `documents` were valid and `sampled` of these in the sample."""
        self.records += documents + batch.invalid.total
        self.outside_sample += documents - sampled
        for counts, more in ((self.invalid.counts, batch.invalid.counts), (self.skipped, batch.skipped)):
            for cause, count in more.items():
                counts[cause] = counts.get(cause, 0) + count
        self.invalid.first = self.invalid.first or batch.invalid.first

    def note_fields(self, records: list[Record], source: SourceConfig) -> None:
        """Remember which of the fields that the config maps explicitly occur."""
        missing = explicit_fields(source)
        for name in self.fields:
            del missing[name]
        for record in records:
            if not missing:
                return
            found = [name for name, column in missing.items() if column in record.fields]
            for name in found:
                del missing[name]
            self.fields = sorted([*self.fields, *found])


def explicit_fields(source: SourceConfig) -> dict[str, str]:
    """Names in `fields` that the config sets itself, with the field of the record that each stands for."""
    return {name: getattr(source.fields, name) for name in sorted(source.fields.model_fields_set)}


def check_fields(source: SourceConfig, tallies: Iterable[Tally]) -> None:
    """Raises InputError for a field that the config maps and no record of the source's units has."""
    found = {name for tally in tallies for name in tally.fields}
    for name, column in explicit_fields(source).items():
        if name not in found:
            shown = name.removesuffix("_")
            raise InputError(
                f"corpus source {source.name}: fields.{shown} = {column!r}, but no record has that field. "
                "Mend the name, or take the line out of the config."
            )


def unit_documents(unit: Unit, config: CorpusConfig, tally: Tally) -> Iterator[pl.DataFrame]:
    """The unit's documents in file order, frame by frame; every pass over a unit sees the same rows.

    Counts into `tally`. Raises InputError when the first batch holds records and not one of them is a document, and
    for a source from the web whose groups nobody chose.
    """
    source = config.sources[unit.source]
    group_by = source.group_by or ("domain" if unit.format == "warc" else None)
    for batch in read_batches(unit, source):
        whole = document_frame(batch.records, source, by_domain=group_by == "domain")
        if group_by is None and config.heldout.share:
            _check_groups(whole, source)
        frame = in_sample(whole, config.sample_share)
        if not tally.records and not len(whole) and batch.invalid.total and config.max_invalid_share < 1:
            raise InputError(_nothing_valid(batch, source))
        tally.add(batch, len(whole), len(frame))
        tally.note_fields(batch.records, source)
        yield frame


def _check_groups(frame: pl.DataFrame, source: SourceConfig) -> None:
    urls = frame.filter(pl.col("group").is_null())["url"].drop_nulls()
    sites = registered_domains(urls).unique().drop_nulls()
    if len(sites) > MANY_DOMAINS:
        raise InputError(
            f"corpus source {source.name}: its documents have no group and come from many sites "
            f"({', '.join(sites.sort()[:3])}, …), each of which would stand in training and in held-out text. "
            "Set `group_by: domain` of the source to hold out whole sites, or `group_by: field` to have it so."
        )


def _nothing_valid(batch: Batch, source: SourceConfig) -> str:
    causes = ", ".join(f"{count:,} {cause}" for cause, count in sorted(batch.invalid.counts.items()))
    return (
        f"corpus source {source.name}: none of the first {batch.invalid.total:,} records is a document "
        f"({causes}; first: {batch.invalid.first}). Check `format`, and `fields.text`, which is {source.fields.text!r}."
    )
