"""Whatever a file expands to, reading it takes bounded memory: proved by a limit on the address space."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.corpus.building import REPOSITORY
from tests.corpus.sources.reading import response_record

MB = 1_000_000
LONG = "longer than 32 MiB"
ALLOWED = 150 * MB
GOOD = b'{"text": "Tere, see on hea dokument."}\n'


def limited(base: Path, *sources: dict[str, object]) -> list[dict[str, Any]]:
    answer = subprocess.run(
        [sys.executable, "-m", "tests.corpus.sources.bounded", str(base), json.dumps(sources), str(ALLOWED)],
        cwd=REPOSITORY,
        env={**os.environ, "POLARS_MAX_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    return list(json.loads(answer.stdout))


def gzip_of(piece: bytes, times: int, before: bytes = b"", after: bytes = b"") -> bytes:
    compressor = gzip.zlib.compressobj(1, wbits=31)
    parts = [
        compressor.compress(before),
        *(compressor.compress(piece) for _ in range(times)),
        compressor.compress(after),
    ]
    return b"".join([*parts, compressor.flush()])


def zstd_of(piece: bytes, times: int, before: bytes = b"", after: bytes = b"") -> bytes:
    compressor = zstandard.ZstdCompressor(3).compressobj()
    parts = [
        compressor.compress(before),
        *(compressor.compress(piece) for _ in range(times)),
        compressor.compress(after),
    ]
    return b"".join([*parts, compressor.flush()])


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip_of), ("zst", zstd_of)])
def test_bombs(tmp_path: Path, suffix: str, pack: Callable[..., bytes]) -> None:
    """200 MB of one line, of blank lines, and many line ends, from less than two."""
    for name, piece, times in (("line", b"a" * MB, 200), ("blank", b" " * MB + b"\n", 200), ("ends", b"\n" * MB, 5)):
        data = pack(piece, times, before=GOOD, after=b"\n" + GOOD)
        assert len(data) < 2 * MB
        (tmp_path / f"{name}.jsonl.{suffix}").write_bytes(data)
    (found,) = limited(tmp_path, {"paths": [f"*.jsonl.{suffix}"]})
    assert found == {"documents": 6, "longest": 26, "skipped": {}, "invalid": {LONG: 1}}


def test_long_lines_long_files_and_a_million_empty_documents(tmp_path: Path) -> None:
    line = b'{"text": "' + b"a " * (50 * MB) + b'"}\n'
    (tmp_path / "long.jsonl").write_bytes(GOOD + line + GOOD + line[:-1])
    (tmp_path / "b.txt").write_bytes(b"tere tere tere tere\n" * (2 * MB))
    (tmp_path / "empty.jsonl").write_bytes(GOOD + b'{"text": "", "id": "x"}\n{"text": " \\n"}\n' * (MB // 2) + GOOD)
    lines, document, paragraph, empty = limited(
        tmp_path,
        {"paths": ["long.jsonl"]},
        {"paths": ["b.txt"], "text_unit": "document"},
        {"paths": ["b.txt"], "text_unit": "paragraph"},
        {"paths": ["empty.jsonl"]},
    )
    assert lines == {"documents": 2, "longest": 26, "skipped": {}, "invalid": {LONG: 2}}
    assert document == paragraph == {"documents": 0, "longest": 0, "skipped": {}, "invalid": {LONG: 1}}
    assert empty == {"documents": 2, "longest": 26, "skipped": {"empty text": MB}, "invalid": {}}


def test_archives(tmp_path: Path) -> None:
    page = b"<html><body><p>Tere, see on hea dokument.</p></body></html>"
    bomb = gzip_of(b"a" * MB, 200, before=b"<p>")
    records = [
        response_record("http://a.ee/1", page),
        response_record("http://a.ee/2", bomb, "Content-Encoding: gzip"),
        response_record("http://a.ee/3", b"a" * (100 * MB)),
        response_record("http://a.ee/4", page),
    ]
    (tmp_path / "a.warc.gz").write_bytes(b"".join(gzip.compress(record, 1) for record in records))
    (tmp_path / "b.warc.gz").write_bytes(gzip_of(b"\r\n" * MB, 100, before=records[0]))
    (tmp_path / "c.warc.gz").write_bytes(gzip_of(b"x" * MB, 200, before=b"WARC/1.0\r\n"))
    pages, ends, header = limited(tmp_path, *({"paths": [f"{name}.warc.gz"]} for name in "abc"))
    skipped = {"page longer than 8 MiB": 1, f"response {LONG}": 1}
    assert pages == {"documents": 2, "longest": 26, "skipped": skipped, "invalid": {}}
    assert ends["documents"] == 1
    assert "c.warc.gz, byte 0: no whole WARC header" in header["error"]
