"""Web archives (ISO 28500): the main text of every HTML response, read in one pass and bounded memory.

The framing is our own: fastwarc 2.0 takes an archive that ends in the middle of a record for a whole one, and panics
on streams that do. Names inside an archive are data; nothing is ever written where they say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eurolm.config.corpus import SourceConfig
from eurolm.corpus.sources import html, http
from eurolm.corpus.sources.batches import Batch
from eurolm.corpus.sources.streams import MAX_RECORD_BYTES, TOO_LONG, blocks
from eurolm.corpus.sources.units import Slice
from eurolm.errors import InputError

MAX_HEADER_BYTES = 64 * 1024
HEADER_END = b"\r\n\r\n"
HTML_TYPES = ("text/html", "application/xhtml+xml")
NO_MAIN_TEXT = "page without main text"


@dataclass(frozen=True)
class Archived:
    """One WARC record: `offset` in the decoded archive; `block` is null when it was passed over unread."""

    offset: int
    headers: dict[str, str]
    block: bytes | None
    length: int


def batches(piece: Slice, source: SourceConfig) -> Iterator[Batch]:
    """HTML responses that begin in the slice as records of text, id, url and date; what else there is, is counted as
    skipped. Raises InputError for archives that are damaged or end too early."""
    batch = Batch()
    for record in records(piece.path, piece.start, piece.end):
        text, cause = _text(record)
        if cause:
            batch.skip(cause)
        else:
            batch.take(piece.label, record.offset, _fields(record, text, source), source.fields.text)
        batch.size += record.length
        if batch.full:
            yield batch
            batch = Batch()
    yield batch


def _fields(record: Archived, text: str, source: SourceConfig) -> dict[str, str | None]:
    names, headers = source.fields, record.headers
    return {
        names.text: text,
        names.id: headers.get("warc-record-id"),
        names.url: headers.get("warc-target-uri", "").strip("<>") or None,
        names.date: headers.get("warc-date"),
    }


def _text(record: Archived) -> tuple[str, str | None]:
    """Main text of a record, or why it has none. Causes are few and fixed: an archive has thousands of types."""
    kind = record.headers.get("warc-type", "unknown").lower()
    if kind != "response":
        return "", f"{kind} record" if kind in ("warcinfo", "request", "metadata", "revisit") else "other record"
    if record.block is None:
        return "", f"response {TOO_LONG}"
    response = http.parse(record.block)
    if response.status != 200:
        return "", "response without HTTP" if response.status is None else f"HTTP status {response.status // 100}xx"
    if response.content_type not in HTML_TYPES:
        return "", "response that is not HTML"
    page = http.page(response, html.MAX_PAGE_BYTES)
    problem = html.TOO_LONG_PAGE if page is None else html.page_problem(page)
    if page is None or problem:
        return "", problem
    text = html.main_text(page, response.charset)
    return text, None if text and not text.isspace() else NO_MAIN_TEXT


def records(path: Path, start: int, end: int) -> Iterator[Archived]:
    """Records that begin between `start` and `end` (bytes of the file, compressed ones where it is compressed); the
    archive is read from its start, because a record in the middle of it cannot be told from the copy of one."""
    stream = _Stream(path)
    while stream.begin() and stream.place < end:
        inside, offset = stream.place >= start, stream.offset
        headers = _headers(stream.until(HEADER_END, MAX_HEADER_BYTES), path, offset)
        length = _length(headers, path, offset)
        wanted = inside and headers.get("warc-type", "").lower() == "response" and length <= MAX_RECORD_BYTES
        block = stream.take(length, keep=wanted)
        if inside:
            yield Archived(offset, headers, block, length)


def _headers(data: bytes | None, path: Path, offset: int) -> dict[str, str]:
    version, *lines = (data or b"").decode(errors="replace").split("\r\n")
    if not version.startswith("WARC/"):
        raise InputError(
            f"{path}, byte {offset:,}: no whole WARC header begins here. The archive is truncated, damaged, or none."
        )
    fields = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in fields}


def _length(headers: dict[str, str], path: Path, offset: int) -> int:
    text = headers.get("content-length", "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InputError(f"{path}, byte {offset:,}: the record has Content-Length {text!r}. The archive is damaged.")
    return int(text)


class _Stream:
    """Decoded bytes in order. `offset` is where the next one is in the decoded archive, `place` the place in the file
    of the block that it came from."""

    def __init__(self, path: Path) -> None:
        self._path, self._blocks = path, blocks(path, 0, path.stat().st_size)
        self._block, self._at = b"", 0
        self.offset, self.place = 0, 0

    def begin(self) -> bool:
        """Pass over line ends; false at the end of the archive."""
        while self._at < len(self._block) or self._next():
            rest = len(self._block) - self._at
            left = len(self._block[self._at :].lstrip(b"\r\n"))
            self._at += rest - left
            self.offset += rest - left
            if left:
                return True
        return False

    def until(self, mark: bytes, limit: int) -> bytes | None:
        """Bytes before `mark`, which is passed over too; null when it does not come within about `limit` bytes."""
        held = self._block[self._at :]
        while (found := held.find(mark)) < 0:
            if len(held) > limit or not self._next():
                return None
            held += self._block
        end = found + len(mark)
        self._at = len(self._block) - (len(held) - end)
        self.offset += end
        return held[:found]

    def take(self, length: int, keep: bool) -> bytes | None:
        """The next `length` bytes, or null where they are not kept. Raises InputError when there are fewer."""
        pieces, left = list[bytes](), length
        while left:
            if self._at >= len(self._block) and not self._next():
                raise InputError(
                    f"{self._path} is truncated: {left:,} bytes of its last record are missing. Fetch it again."
                )
            piece = self._block[self._at : self._at + left]
            self._at += len(piece)
            left -= len(piece)
            if keep:
                pieces.append(piece)
        self.offset += length
        return b"".join(pieces) if keep else None

    def _next(self) -> bool:
        self.place, self._block = next(self._blocks, (self.place, b""))
        self._at = 0
        return bool(self._block)
