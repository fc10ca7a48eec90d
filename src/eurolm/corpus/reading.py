"""The text that every pass sees: records as documents, mended where asked, personal data replaced by placeholders.

Personal data goes here, before anything is measured or written, so that no artifact ever holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson
import polars as pl

from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.sources.records import Tally, unit_documents
from eurolm.corpus.sources.units import Unit
from eurolm.corpus.text import encoding, personal


@dataclass(frozen=True)
class Read:
    """Consecutive documents of a unit: `frame` has the columns of a document (`language` still null), `personal` the
    number of placeholders per type (UInt32, a column each), `repaired` (Boolean) whose encoding was mended."""

    frame: pl.DataFrame
    personal: pl.DataFrame
    repaired: pl.Series


def read_unit(unit: Unit, config: CorpusConfig, tally: Tally) -> Iterator[Read]:
    """The unit's documents in file order, the same rows in every pass. Counts what was no document into `tally`."""
    types = config.personal_data.types
    mends = config.sources[unit.source].repair_encoding
    for frame in unit_documents(unit, config, tally):
        repaired = pl.Series("repaired", [False], dtype=pl.Boolean).new_from_index(0, len(frame))
        if mends:
            text, changed = encoding.repair(frame["text"])
            frame, repaired = frame.with_columns(text.alias("text")), changed.alias("repaired")
        text, counts = personal.replace(frame["text"], types)
        yield Read(frame.with_columns(text.alias("text"), _meta(frame["meta"], types).alias("meta")), counts, repaired)


def _meta(meta: pl.Series, types: Sequence[str]) -> pl.Series:
    """Fields that have no column of their own may name people as well. They are not counted. Values are replaced one
    by one, because a placeholder in place of a bare number would break the JSON."""
    replaced, _ = personal.replace(meta, types)
    suspects = (replaced != meta).fill_null(False).arg_true()
    return meta.scatter(suspects, [_values_replaced(record, types) for record in meta.gather(suspects)])


def _values_replaced(record: str, types: Sequence[str]) -> str:
    fields = orjson.loads(record)
    told = pl.Series([value if isinstance(value, str) else str(value) for value in fields.values()], dtype=pl.String)
    clean, _ = personal.replace(told, types)
    pairs = zip(fields.items(), told, clean, strict=True)
    return orjson.dumps({name: value if was == now else now for (name, value), was, now in pairs}).decode()
