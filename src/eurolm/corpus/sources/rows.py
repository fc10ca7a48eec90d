"""Small files that somebody prepared (items, parallel text, word lists) row by row.

Unlike a source of a corpus, where broken records are counted, such a file must be whole: what is wrong with it is an
error that names file and line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

from eurolm.corpus.sources.streams import TOO_LONG, lines
from eurolm.corpus.sources.tables import readable
from eurolm.errors import InputError

BATCH_ROWS = 1024


def text_rows(path: Path) -> Iterator[tuple[str, str]]:
    """Lines of a plain, gzip or zstd file, each with its place (`file:line`), blank ones too.

    Raises InputError for what is not UTF-8 or too long.
    """
    for number, (_, line) in enumerate(lines(path, 0, path.stat().st_size), start=1):
        place = f"{path}:{number}"
        if line is None:
            raise InputError(f"{place}: the line is {TOO_LONG}.")
        try:
            yield place, line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise InputError(f"{place}: the line is not UTF-8 ({error}).") from None


def json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """JSON objects, one a line, each with its place. Raises InputError for anything else."""
    for place, line in text_rows(path):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(f"{place}: not JSON ({error}).") from None
        if not isinstance(value, dict):
            raise InputError(f"{place}: a JSON object is wanted, not {type(value).__name__}.")
        yield place, value


def tsv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a tab-separated file by the names in its first line, each with its place; nothing is quoted."""
    rows = ((place, line.split("\t")) for place, line in text_rows(path) if line.strip())
    _, header = next(rows, ("", []))
    for place, row in rows:
        yield place, dict(zip(header, row, strict=False))


def parquet_rows(path: Path, beside: Sequence[str]) -> Iterator[dict[str, Any]]:
    """`text` of each row, and those of the columns `beside` that there are. Raises InputError for a file without."""
    with readable(path, "Parquet"), pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        if "text" not in names:
            raise InputError(f"{path} has no column `text`, only {', '.join(names)}.")
        wanted = ["text", *(name for name in beside if name in names)]
        for batch in file.iter_batches(BATCH_ROWS, columns=wanted, use_threads=False):
            yield from batch.to_pylist()
