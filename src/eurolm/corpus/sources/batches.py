"""What reading a file gives: records in batches of bounded size, and counts of what is none.

A record is the mapping of field names to values as the source wrote it, with its place (the offset in the decoded
file, or the row number) for sources without keys of their own. *Invalid* is what should have been a document and is
broken; *skipped* is what never was one: empty text, an image in a web archive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eurolm.corpus.sources.streams import MAX_RECORD_BYTES, TOO_LONG

BATCH_BYTES = 4 * 1024**2
BATCH_RECORDS = 4096
EMPTY = "empty text"


@dataclass(frozen=True)
class Record:
    """One record: `file` and `place` say where it stood, `fields` what it held."""

    file: str
    place: int
    fields: dict[str, Any]


@dataclass
class Invalid:
    """Records that are no documents, by cause, and the place of the first of them."""

    counts: dict[str, int] = field(default_factory=dict)
    first: str | None = None

    def add(self, cause: str, where: str) -> None:
        """Count one."""
        self.counts[cause] = self.counts.get(cause, 0) + 1
        self.first = self.first or f"{cause} at {where}"

    @property
    def total(self) -> int:
        """Invalid records of all causes."""
        return sum(self.counts.values())


@dataclass
class Batch:
    """Consecutive records, and what was no document between them. `size` is about their bytes."""

    records: list[Record] = field(default_factory=list)
    invalid: Invalid = field(default_factory=Invalid)
    skipped: dict[str, int] = field(default_factory=dict)
    size: int = 0

    @property
    def full(self) -> bool:
        """Whether the next record belongs into another batch."""
        return self.size >= BATCH_BYTES or len(self.records) >= BATCH_RECORDS

    def skip(self, cause: str, count: int = 1) -> None:
        """Count what is no document and should not be one."""
        self.skipped[cause] = self.skipped.get(cause, 0) + count

    def take(self, file: str, place: int, fields: dict[str, Any], text_field: str, unit: str = "byte") -> None:
        """Add the record, or count why it is no document."""
        text = fields.get(text_field)
        if text is None:
            self.invalid.add("no text", f"{file}, {unit} {place:,}")
        elif not isinstance(text, str):
            self.invalid.add("text is not a string", f"{file}, {unit} {place:,}")
        elif len(text) > MAX_RECORD_BYTES:
            self.invalid.add(TOO_LONG, f"{file}, {unit} {place:,}")
        elif not text or text.isspace():
            self.skip(EMPTY)
        else:
            self.records.append(Record(file, place, fields))
