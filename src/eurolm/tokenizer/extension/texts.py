"""Text named on the command line as `LANGUAGE=PATH`, counted as strings that a tokenizer cuts alike anywhere.

A string is a run without white space with the one character of white space before it, if any: no tokenizer read here
merges across such a border, but for runs of white space, from which nothing is learnt. Counts are kept per source (the
records' own field, else the file's name), because sources are weighed against each other, and twice: how often a
string occurs, and the sum over documents of the square root of that, because a word that one document repeats a
hundred times says less about the language than one that a hundred documents have.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from eurolm.corpus.sources.rows import parquet_rows
from eurolm.corpus.sources.streams import BYTE_ORDER_MARK, lines
from eurolm.errors import InputError
from eurolm.tokenizer.text import UNKNOWN

GIVEN = re.compile(r"(?:([a-z]{2,3}(?:-[A-Za-z0-9]+)*)=)?(.+)", re.DOTALL)
STRING = re.compile(r"\s?\S+")
MAX_DISTINCT = 4_000_000
"""Distinct strings held per source; 60 MB of Latvian law have a quarter of a million."""
ROOT_BITS = 20
"""Square roots are whole numbers of 2^-10, so that sums do not depend on their order."""
KINDS = (".jsonl", ".ndjson", ".parquet", ".txt")


@dataclass
class Counted:
    """One source. `counts`: occurrences of each string; `roots`: sum over documents of their square root, times 1024.

    `dropped`: occurrences of rare strings that were let go to keep to the limit.
    """

    counts: Counter[str] = field(default_factory=Counter)
    roots: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    text_bytes: int = 0
    dropped: int = 0

    def add(self, text: str, prefix: str) -> None:
        """Count a document."""
        self.documents += 1
        self.text_bytes += len(text.encode())
        found = Counter(STRING.findall(prefix + text))
        self.counts.update(found)
        roots = self.roots
        for string, number in found.items():
            roots[string] += math.isqrt(number << ROOT_BITS)

    def keep(self, limit: int) -> None:
        """Let the rarest strings go until half of `limit` are left, if there are more than `limit`."""
        if len(self.counts) <= limit:
            return
        floor = sorted(self.counts.values())[-limit // 2]
        rare = [string for string, number in self.counts.items() if number <= floor]
        self.dropped += sum(self.counts.pop(string) for string in rare)
        for string in rare:
            del self.roots[string]


@dataclass(frozen=True)
class Text:
    """The text of one language. `unreadable`: records without text, passed over."""

    sources: dict[str, Counted]
    unreadable: int

    @property
    def strings(self) -> Counter[str]:
        """All sources' counts added up."""
        total = Counter[str]()
        for source in self.sources.values():
            total.update(source.counts)
        return total

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes read."""
        return sum(source.text_bytes for source in self.sources.values())

    def told(self) -> dict[str, int]:
        """Figures for the record."""
        return {
            "documents": sum(source.documents for source in self.sources.values()),
            "text_bytes": self.text_bytes,
            "sources": len(self.sources),
            "records_without_text": self.unreadable,
            "rare_strings_dropped": sum(source.dropped for source in self.sources.values()),
        }


def files_by_language(given: Iterable[str]) -> dict[str, list[Path]]:
    """Files of each language in path order. Raises InputError for what does not exist or holds no text files."""
    found: dict[str, set[Path]] = {}
    for one in given:
        match = GIVEN.fullmatch(one)
        language, place = (match[1] or UNKNOWN, Path(match[2])) if match else (UNKNOWN, Path(one))
        found.setdefault(language, set()).update(_files(place, one))
    return {language: sorted(found[language]) for language in sorted(found)}


def _files(place: Path, given: str) -> list[Path]:
    if place.is_dir():
        files = [path for path in place.rglob("*") if path.is_file() and _kind(path)]
        if not files:
            raise InputError(f"{given} holds no text: {', '.join(KINDS)}, also with .zst or .gz, are looked for.")
        return files
    if not place.is_file():
        raise InputError(f"{given} does not exist. Give LANGUAGE=PATH with PATH a text file or a directory of some.")
    if not _kind(place):
        raise InputError(f"{given}: its name does not tell its format; {', '.join(KINDS)}, also with .zst or .gz, do.")
    return [place]


def _kind(path: Path) -> str | None:
    name = path.name.removesuffix(".zst").removesuffix(".gz")
    return next((kind for kind in KINDS if name.endswith(kind)), None)


def count(files: Iterable[Path], prefix: str, limit: int = MAX_DISTINCT) -> Text:
    """Count the strings of all texts, each text opened by `prefix` (a space where the tokenizer puts one there).

    Raises InputError for damaged files and where there is no text at all.
    """
    sources: dict[str, Counted] = {}
    unreadable = 0
    for path in files:
        for name, text in texts(path):
            if text is None:
                unreadable += 1
            elif text.strip():
                source = sources.setdefault(name, Counted())
                source.add(text, prefix)
                source.keep(limit)
    if not sources:
        raise InputError(f"{', '.join(map(str, files))}: no text in there ({unreadable:,} records without text).")
    return Text({name: sources[name] for name in sorted(sources)}, unreadable)


def texts(path: Path) -> Iterator[tuple[str, str | None]]:
    """(source, text) of each record, or of each line of a text file; null for a record without text."""
    kind = _kind(path)
    if kind == ".parquet":
        yield from ((row.get("source") or path.name, row["text"]) for row in parquet_rows(path, ["source"]))
        return
    for place, line in lines(path, 0, path.stat().st_size):
        data = (line or b"").removeprefix(BYTE_ORDER_MARK if place == 0 else b"").strip()
        if line is None:
            yield path.name, None
        elif data:
            yield (path.name, _line(data)) if kind == ".txt" else _record(data, path.name)


def _line(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _record(data: bytes, name: str) -> tuple[str, str | None]:
    try:
        value: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        return name, None
    source = value.get("source")
    return (source if isinstance(source, str) and source else name), value["text"]
