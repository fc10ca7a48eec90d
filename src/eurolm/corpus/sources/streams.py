"""Bytes of plain, gzip and zstd files as lines with their offsets, in bounded memory.

Damage is an error that names the file: a compressed stream must end where its last frame ends, because a truncated
download would otherwise pass for a short but good file. Neither a compression bomb nor a line without end fills the
memory: bytes are decoded in small pieces, and a line beyond `MAX_RECORD_BYTES` is passed over without being held.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import zstandard

from eurolm.errors import InputError

BLOCK_BYTES = 256 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_RECORD_BYTES = 32 * 1024**2
"""The longest record that can become a document: 16 times a novel of 2 MB."""
TOO_LONG = f"longer than {MAX_RECORD_BYTES // 1024**2} MiB"
MAX_WINDOW_BYTES = 2**31
"""Accepts what `zstd --long=31` wrote; the library's own limit is 128 MiB."""
ZSTD_INPUT_BYTES = 512
"""A zstd block of 4 bytes can stand for 128 KiB (RFC 8878, 3.1.1.2), so this much input for at most 16 MiB."""


def compression(path: Path) -> str | None:
    """`zstd`, `gzip` or null, by file name."""
    return {".zst": "zstd", ".gz": "gzip"}.get(path.suffix)


def lines(path: Path, start: int, end: int) -> Iterator[tuple[int, bytes | None]]:
    """Lines without their line end that begin between `start` and `end`, with their offset in the decoded stream;
    null stands for one longer than `MAX_RECORD_BYTES`.

    `start` and `end` count bytes of the file: decoded bytes of a plain one, compressed bytes otherwise. Raises
    InputError for damaged or truncated streams.
    """
    offset = 0 if compression(path) else start
    began, size, pending = start, 0, list[bytes]()
    for place, block in blocks(path, start, end):
        if place >= end and (not size or began >= end):
            return
        head, *others = block.split(b"\n")
        began = began if size else place
        size += len(head)
        _grow(pending, head, size)
        for piece in others:
            if start <= began < end:
                yield offset, _line(pending, size)
            offset += size + 1
            began, size, pending = place, len(piece), [piece]
    if size and start <= began < end:
        yield offset, _line(pending, size)


def _grow(pending: list[bytes], piece: bytes, size: int) -> None:
    if size <= MAX_RECORD_BYTES:
        pending.append(piece)
    else:
        pending.clear()


def _line(pending: list[bytes], size: int) -> bytes | None:
    return b"".join(pending) if size <= MAX_RECORD_BYTES else None


def whole(path: Path) -> bytes | None:
    """All decoded bytes of a file; null when these are more than `MAX_RECORD_BYTES`."""
    pieces, size = list[bytes](), 0
    for _, block in blocks(path, 0, path.stat().st_size):
        size += len(block)
        if size > MAX_RECORD_BYTES:
            return None
        pieces.append(block)
    return b"".join(pieces)


def blocks(path: Path, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Decoded bytes of at most about `BLOCK_BYTES` at a time, each with its place in the file: the offset of a plain
    one, the compressed offset of the block it came from otherwise. A compressed stream is always read from its start,
    and not only to `end`: what begins before that may go on beyond it."""
    if compression(path) is None:
        return _plain_blocks(path, start, end)
    return _compressed_blocks(path)


def _plain_blocks(path: Path, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as stream:
        stream.seek(start)
        while start < end:
            block = stream.read(min(BLOCK_BYTES, end - start))
            if not block:
                raise InputError(f"{path} became shorter while it was read. Run again when nothing writes to it.")
            yield start, block
            start += len(block)


def _compressed_blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    decoder: Decoder = Zstd() if compression(path) == "zstd" else Gzip()
    place = 0
    try:
        with path.open("rb") as stream:
            while data := stream.read(BLOCK_BYTES):
                for block in _gathered(decoder.pieces(data)):
                    yield place, block
                place += BLOCK_BYTES
    except (zstandard.ZstdError, zlib.error) as error:
        raise InputError(f"{path} is damaged: {error}. Fetch or write it again.") from None
    if not decoder.ended:
        raise InputError(f"{path} is truncated: its last compressed frame has no end. Fetch or write it again.")


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of about `BLOCK_BYTES`: small ones cost time, large ones memory when they are split."""
    waiting, size = list[bytes](), 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            joined = b"".join(waiting) if len(waiting) > 1 else piece
            waiting.clear()
            yield from (joined[start : start + 2 * BLOCK_BYTES] for start in range(0, size, 2 * BLOCK_BYTES))
            size = 0
    if size:
        yield b"".join(waiting)


class Decoder(Protocol):
    """Decodes a stream of frames fed to it piece by piece."""

    @property
    def ended(self) -> bool:
        """Whether the bytes so far end where a frame ends."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What `data` stands for, in pieces of bounded size."""


class Gzip:
    """Members of a gzip stream; pieces of at most `BLOCK_BYTES`."""

    def __init__(self, window_bits: int = 31) -> None:
        self._member: Any = None
        self._window_bits = window_bits

    @property
    def ended(self) -> bool:
        """Whether the bytes so far end where a member ends."""
        return self._member is None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Raises zlib.error for damage."""
        while True:
            member = self._member = self._member or zlib.decompressobj(self._window_bits)
            piece = member.decompress(data, BLOCK_BYTES)
            yield piece
            if member.eof:
                data, self._member = member.unused_data, None
                if not data:
                    return
            else:
                data = member.unconsumed_tail
                # A full piece may have left more inside the decompressor, though all input is taken.
                if not data and len(piece) < BLOCK_BYTES:
                    return


class Zstd:
    """Frames of a zstd stream; pieces of at most 16 MiB, from frames that expand without bound."""

    def __init__(self) -> None:
        self._frame: Any = None

    @property
    def ended(self) -> bool:
        """Whether the bytes so far end where a frame ends."""
        return self._frame is None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Raises zstandard.ZstdError for damage."""
        for start in range(0, len(data), ZSTD_INPUT_BYTES):
            rest = data[start : start + ZSTD_INPUT_BYTES]
            while rest:
                frame = self._frame or zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()
                yield frame.decompress(rest)
                rest, self._frame = (frame.unused_data, None) if frame.eof else (b"", frame)
