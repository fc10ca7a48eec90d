"""HTTP responses as web archives store them: status, headers and the page without its transfer encodings.

Crawlers disagree on whether the stored body still is in the encodings that the headers name, so a body that is not in
them counts as plain.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from eurolm.corpus.sources.streams import Gzip

LINE_END = b"\r\n"


@dataclass(frozen=True)
class Response:
    """`status` is null where the bytes are no HTTP response; names of `headers` are lower case."""

    status: int | None
    headers: dict[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """`text/html`, lower case, without parameters."""
        return self.headers.get("content-type", "").split(";", 1)[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The `charset` parameter of the content type."""
        for parameter in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip("\"'") or None
        return None


def parse(data: bytes) -> Response:
    """Split a stored response; its body stays encoded."""
    head, _, body = data.partition(LINE_END * 2)
    status_line, *fields = head.split(LINE_END)
    version, _, rest = status_line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/") or not code.isdigit():
        return Response(None, {}, data)
    headers = dict[str, str]()
    for field in fields:
        name, colon, value = field.decode("latin-1").partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return Response(int(code), headers, body)


def page(response: Response, limit: int) -> bytes | None:
    """The body decoded; null when it is longer than `limit` bytes. Memory stays within a few times `limit`."""
    body = response.body
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("gzip", "x-gzip") and body.startswith(b"\x1f\x8b"):
        return _inflated(body, Gzip(), limit)
    if encoding == "deflate":
        # Some servers send the zlib wrapper that RFC 9110 asks for, others the bare stream.
        return _inflated(body, Gzip(15 if body[:1] == b"\x78" else -15), limit)
    if encoding == "br":
        return _unbrotli(body, limit)
    return body if len(body) <= limit else None


def _unchunked(body: bytes) -> bytes:
    chunks, place = list[bytes](), 0
    while place < len(body):
        line_end = body.find(LINE_END, place)
        try:
            size = int(body[place:line_end].split(b";", 1)[0], 16) if line_end >= 0 else -1
        except ValueError:
            size = -1
        if size < 0:
            return b"".join(chunks) if chunks else body
        if size == 0:
            break
        chunks.append(body[line_end + 2 : line_end + 2 + size])
        place = line_end + 2 + size + 2
    return b"".join(chunks)


def _inflated(body: bytes, decoder: Gzip, limit: int) -> bytes | None:
    pieces, size = list[bytes](), 0
    try:
        for piece in decoder.pieces(body):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                return None
    except zlib.error:
        # What was decoded before the damage is a page cut short, as the crawler would have stored it.
        return b"".join(pieces) if pieces else body
    return b"".join(pieces)


def _unbrotli(body: bytes, limit: int) -> bytes | None:
    import brotli

    decoder: Any = brotli.Decompressor()
    try:
        decoded: bytes = decoder.process(body, output_buffer_limit=limit + 1)
    except brotli.error:
        return body
    return decoded if len(decoded) <= limit else None
