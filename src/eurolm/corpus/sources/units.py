"""Which bytes of which file make one unit of work, decided from names and sizes alone.

A unit is what one worker takes at a time and what becomes one output shard. A plain file of lines is cut at line
ends, a Parquet file at row groups. A compressed stream and a web archive cannot be entered in the middle, so their
parts all read them from the start and each keeps the records that begin in its own stretch of the file. Arrow files
and shards of the hub are units as they are; small text files share one.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq

from eurolm.config.corpus import CorpusConfig, SourceConfig
from eurolm.config.shipped import package_file
from eurolm.corpus.sources import hub
from eurolm.corpus.sources.dataset import hub_dataset, saved_files
from eurolm.corpus.sources.html import require_extractor
from eurolm.corpus.sources.streams import BLOCK_BYTES, compression
from eurolm.errors import ConfigError, InputError

PART_BYTES = 32 * 1024**2
"""Size of a unit: text of this size takes a worker about six seconds."""
COMPRESSION_RATIO = 4
"""A compressed part is this much smaller, so that units hold about the same text."""
ARCHIVE_RATIO = 4
"""A compressed web archive holds about this much less text than bytes: the rest is mark-up and what is no page."""
MAX_COMPRESSED_PARTS = 64
"""Bounds what re-reading a stream from its start may cost: about half of this many decompressions of the file."""
PACKAGE_SCHEME = "package:"
FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".txt": "text", ".warc": "warc"}


@dataclass(frozen=True)
class Slice:
    """`start` to `end` of one file, in bytes (row groups of Parquet, shards of the hub). `label` names the file the
    same everywhere; `weight` is about the bytes of text in it."""

    path: Path
    label: str
    start: int
    end: int
    weight: int


@dataclass(frozen=True)
class Unit:
    """One piece of work. `source` is the source's place in the config, `number` the unit's place in the source."""

    source: int
    number: int
    format: str
    slices: tuple[Slice, ...]

    @property
    def weight(self) -> int:
        """About the bytes of text in it; heavy units start first."""
        return sum(piece.weight for piece in self.slices)

    @property
    def key(self) -> str:
        """Name of the unit's scratch files."""
        return f"{self.source:04d}-{self.number:05d}"


def source_files(source: SourceConfig, base: Path) -> list[tuple[Path, str]]:
    """Files of a source with their labels, sorted by label; none for a dataset of the hub, whose name and revision
    say what it is. Raises InputError for what matches no file, ConfigError for a source that names nothing, or two
    things."""
    if bool(source.paths) == (source.dataset is not None):
        raise ConfigError(f"corpus source {source.name}: set either `paths` or `dataset`, and not both.")
    found: dict[Path, str] = {}
    for path in _saved(source, base) if source.dataset is not None else ():
        found.setdefault(path, _label("", path, base))
    for pattern in source.paths:
        matches = _matches(pattern, base)
        if not matches:
            raise InputError(f"corpus source {source.name}: {pattern} matches no file (looked from {base}).")
        for path in matches:
            if path.is_dir():
                raise InputError(
                    f"corpus source {source.name}: {path} is a directory. Name its files, as in {path}/*.jsonl.zst."
                )
            found.setdefault(path, _label(pattern, path, base))
    return sorted(found.items(), key=lambda item: item[1])


def _saved(source: SourceConfig, base: Path) -> list[Path]:
    if source.format != "auto":
        raise ConfigError(f"corpus source {source.name}: `format` belongs to `paths`; a `dataset` says its own.")
    files = saved_files(source, base)
    if files is None:
        hub_dataset(source)
    return files or []


def _matches(pattern: str, base: Path) -> list[Path]:
    inside = pattern.startswith(PACKAGE_SCHEME)
    path = package_file(pattern.removeprefix(PACKAGE_SCHEME)) if inside else base / pattern
    if path.exists():
        return [path]
    return [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 - absolute patterns


def _label(pattern: str, path: Path, base: Path) -> str:
    if pattern.startswith(PACKAGE_SCHEME):
        return PACKAGE_SCHEME + path.relative_to(package_file("")).as_posix()
    return Path(os.path.relpath(path, base)).as_posix()


def plan_units(config: CorpusConfig, base: Path, part_bytes: int = PART_BYTES) -> list[Unit]:
    """All units in source order. Raises InputError for missing files, ConfigError for sources of one name."""
    names = [source.name for source in config.sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"corpus.sources has {', '.join(twice)} more than once: give each source a name of its own.")
    return [
        unit
        for place, source in enumerate(config.sources)
        for unit in _source_units(place, source, source_files(source, base), part_bytes)
    ]


def _source_units(place: int, source: SourceConfig, files: list[tuple[Path, str]], part_bytes: int) -> Iterator[Unit]:
    if source.dataset is not None and not files:
        yield from _hub_units(place, source)
        return
    number = 0
    waiting: list[Slice] = []
    for path, label in files:
        kind = file_format(source, path)
        if kind == "text" and source.text_unit == "document":
            size = path.stat().st_size
            waiting.append(Slice(path, label, 0, size, size * _expansion(path)))
            if sum(piece.weight for piece in waiting) >= part_bytes:
                yield Unit(place, number, kind, tuple(waiting))
                number, waiting = number + 1, []
            continue
        for piece in _cut(path, label, kind, source, part_bytes):
            yield Unit(place, number, kind, (piece,))
            number += 1
    if waiting:
        yield Unit(place, number, "text", tuple(waiting))


def _hub_units(place: int, source: SourceConfig) -> Iterator[Unit]:
    dataset = hub_dataset(source)
    label = f"{dataset.name}@{dataset.revision}"
    for shard in range(hub.shards(dataset)):
        yield Unit(place, shard, "hub", (Slice(Path(dataset.name), label, shard, shard + 1, PART_BYTES),))


def _expansion(path: Path) -> int:
    return COMPRESSION_RATIO if compression(path) else 1


def file_format(source: SourceConfig, path: Path) -> str:
    """`jsonl`, `parquet`, `text`, `warc` or `arrow`. Raises InputError where `auto` cannot tell."""
    if source.dataset is not None:
        return "arrow"
    if source.format != "auto":
        return source.format
    name = path.name.removesuffix(".zst").removesuffix(".gz")
    for suffix, kind in FORMATS.items():
        if name.endswith(suffix):
            return kind
    raise InputError(
        f"corpus source {source.name}: the name of {path} does not tell its format. "
        "Set `format` of the source to jsonl, parquet, text or warc."
    )


def _cut(path: Path, label: str, kind: str, source: SourceConfig, part_bytes: int) -> list[Slice]:
    if kind == "parquet":
        return _row_group_slices(path, label, source.fields.text, part_bytes)
    size = path.stat().st_size
    if kind == "arrow":
        return [Slice(path, label, 0, 1, size)]
    if kind == "warc":
        require_extractor()
        edges = _stream_edges(size, part_bytes * ARCHIVE_RATIO)
        return [Slice(path, label, start, end, (end - start) // ARCHIVE_RATIO) for start, end in pairwise(edges)]
    if kind == "text" and source.text_unit == "paragraph":
        edges = [0, size]
    elif compression(path):
        edges = _stream_edges(size, part_bytes // COMPRESSION_RATIO)
    else:
        edges = _line_edges(path, part_bytes)
    return [Slice(path, label, start, end, (end - start) * _expansion(path)) for start, end in pairwise(edges)]


def _stream_edges(size: int, part_bytes: int) -> list[int]:
    """Multiples of the block size, because every part must feed the decompressor the same blocks."""
    wanted = max(part_bytes, -(-size // MAX_COMPRESSED_PARTS), 1)
    step = -(-wanted // BLOCK_BYTES) * BLOCK_BYTES
    return [*range(0, max(size, 1), step), size]


def _line_edges(path: Path, part_bytes: int) -> list[int]:
    """Offsets just after a line end, the first at or beyond each multiple of `part_bytes`."""
    size = path.stat().st_size
    edges = [0]
    with path.open("rb") as stream:
        for wanted in range(part_bytes, size, part_bytes):
            if wanted <= edges[-1]:
                continue
            stream.seek(wanted - 1)
            # Piece by piece: a line may be longer than the memory.
            while (piece := stream.readline(BLOCK_BYTES)) and not piece.endswith(b"\n"):
                pass
            if stream.tell() >= size:
                break
            edges.append(stream.tell())
    return [*edges, size]


def _row_group_slices(path: Path, label: str, text_field: str, part_bytes: int) -> list[Slice]:
    try:
        metadata = pq.ParquetFile(path).metadata
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}. Fetch or write it again.") from None
    names = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
    if text_field not in names:
        raise InputError(
            f"{path} has no column {text_field!r}; it has {', '.join(names)}. "
            "Set `fields: {text: COLUMN}` of the source."
        )
    slices, start, held = [], 0, 0
    for group in range(metadata.num_row_groups):
        held += metadata.row_group(group).total_byte_size
        if held >= part_bytes or group == metadata.num_row_groups - 1:
            slices.append(Slice(path, label, start, group + 1, held))
            start, held = group + 1, 0
    return slices or [Slice(path, label, 0, 0, 0)]
