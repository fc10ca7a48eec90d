"""Lines out of plain and compressed files: the same ones however a file is cut, packed or damaged."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from eurolm.corpus.sources import streams
from eurolm.corpus.sources.streams import BLOCK_BYTES, lines, whole
from eurolm.errors import InputError

CONTENT = st.lists(st.binary(max_size=30), max_size=40).map(b"\n".join)


def expected(data: bytes) -> list[tuple[int, bytes]]:
    """Lines with their offsets, told simply."""
    found, offset = [], 0
    for line in data.split(b"\n"):
        found.append((offset, line))
        offset += len(line) + 1
    return found if data and not data.endswith(b"\n") else found[:-1]


def packed(data: bytes, suffix: str, frames: int) -> bytes:
    size = len(data) // frames + 1
    pieces = [data[start : start + size] for start in range(0, max(len(data), 1), size)]
    if suffix == "gz":
        return b"".join(gzip.compress(piece) for piece in pieces)
    if suffix == "zst":
        skippable = b"\x50\x2a\x4d\x18\x04\0\0\0seek"
        return skippable.join(zstandard.ZstdCompressor().compress(piece) for piece in pieces)
    return data


@settings(max_examples=100, deadline=None)
@given(CONTENT, st.sampled_from(["txt", "gz", "zst"]), st.integers(1, 4), st.integers(1, 60))
def test_lines_are_the_same_however_the_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str, frames: int, step: int
) -> None:
    path = tmp_path_factory.getbasetemp() / f"lines.{suffix}"
    path.write_bytes(packed(data, suffix, frames))
    size = path.stat().st_size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK_BYTES", 16)
        unit = 16 if suffix != "txt" else 1
        edges = [*range(0, size, step * unit), size]
        if suffix == "txt":
            ends = {offset for offset, _ in expected(data)} | {size}
            edges = sorted(ends & set(edges) | {0, size})
        found = [line for start, end in pairwise(edges) for line in lines(path, start, end)]
        assert found == expected(data)
        assert whole(path) == data


@settings(max_examples=60, deadline=None)
@given(CONTENT.filter(bool), st.sampled_from(["gz", "zst"]), st.data())
def test_a_cut_stream_is_never_a_short_file(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str, choice: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / f"cut.{suffix}"
    stream = packed(data, suffix, 1)
    path.write_bytes(stream[: choice.draw(st.integers(1, len(stream) - 1))])
    with pytest.raises(InputError, match=rf"cut\.{suffix} is (truncated|damaged)"):
        whole(path)


@settings(max_examples=100, deadline=None)
@given(CONTENT.filter(bool), st.sampled_from(["gz", "zst"]), st.data())
def test_a_damaged_stream_is_an_error_that_names_the_file(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str, choice: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / f"bad.{suffix}"
    stream = bytearray(packed(data, suffix, 1))
    stream[choice.draw(st.integers(0, len(stream) - 1))] ^= choice.draw(st.integers(1, 255))
    path.write_bytes(stream)
    try:
        whole(path)
    except InputError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("suffix", ["txt", "gz", "zst"])
def test_lines_around_the_limit(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_RECORD_BYTES", 3 * BLOCK_BYTES)
    path = tmp_path / f"a.{suffix}"
    fits, over = b"a" * (3 * BLOCK_BYTES), b"b" * (3 * BLOCK_BYTES + 1)
    path.write_bytes(packed(b"\n".join([b"x", fits, over, b"y", over]), suffix, 1))
    found = list(lines(path, 0, path.stat().st_size))
    assert [line for _, line in found] == [b"x", fits, None, b"y", None]
    assert [place for place, _ in found] == [0, 2, 3 + len(fits), 4 + len(fits) + len(over), 6 + len(fits) + len(over)]
    assert whole(path) is None
