"""Bytes of plain, gzip and zstd files as lines with their offsets, in bounded memory.

Damage is an error that names the file: a compressed stream must end where its last frame ends, because a truncated
download would otherwise pass for a short but good file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from eurolm.errors import InputError

BLOCK_BYTES = 256 * 1024
MAX_WINDOW_BYTES = 2**31
"""Accepts what `zstd --long=31` wrote; the library's own limit is 128 MiB."""


def compression(path: Path) -> str | None:
    """`zstd`, `gzip` or null, by file name."""
    return {".zst": "zstd", ".gz": "gzip"}.get(path.suffix)


def lines(path: Path, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Lines without their line end that begin between `start` and `end`, with their offset in the decoded stream.

    `start` and `end` count bytes of the file: decoded bytes of a plain one, compressed bytes otherwise. Raises
    InputError for damaged or truncated streams.
    """
    packed = compression(path) is not None
    blocks = _compressed_blocks(path) if packed else _plain_blocks(path, start, end)
    offset, pending, began = (0 if packed else start), list[bytes](), start
    for place, block in blocks:
        if place >= end and (not pending or began >= end):
            return
        head, *others = block.split(b"\n")
        if not pending:
            began = place
        pending.append(head)
        for piece in others:
            line = b"".join(pending)
            if start <= began < end:
                yield offset, line
            offset += len(line) + 1
            pending, began = [piece], place
        if pending == [b""]:
            pending = []
    last = b"".join(pending)
    if last and start <= began < end:
        yield offset, last


def whole(path: Path) -> bytes:
    """All decoded bytes of a file."""
    if compression(path):
        return b"".join(block for _, block in _compressed_blocks(path))
    return path.read_bytes()


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
    """Decoded bytes block by block, each with the compressed offset of the block it came from."""
    place, decoder = 0, None
    try:
        with path.open("rb") as stream:
            while data := stream.read(BLOCK_BYTES):
                pieces = []
                while data:
                    decoder = decoder or _decoder(path)
                    pieces.append(decoder.decompress(data))
                    data, decoder = (decoder.unused_data, None) if decoder.eof else (b"", decoder)
                yield place, b"".join(pieces)
                place += BLOCK_BYTES
    except (zstandard.ZstdError, zlib.error) as error:
        raise InputError(f"{path} is damaged: {error}. Fetch or write it again.") from None
    if decoder is not None:
        raise InputError(f"{path} is truncated: its last compressed frame has no end. Fetch or write it again.")


def _decoder(path: Path) -> Any:
    if compression(path) == "zstd":
        return zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()
    return zlib.decompressobj(wbits=31)
