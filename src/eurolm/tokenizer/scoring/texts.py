"""The text that tokenizers are judged on: documents per language, and the clusters they come in.

A document is a record of JSON lines or Parquet, or a block of a plain text file (blocks stand between blank lines).
Documents of one group (a book, a sitting, an article) are alike, so groups are what an interval draws; a record without
`group` or `doc` is a group of its own. At most `MAX_BYTES` per language are kept, from the beginning of each file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eurolm.corpus.sources.rows import json_rows, parquet_rows, text_rows, tsv_rows
from eurolm.errors import InputError

MAX_BYTES = 10_000_000
"""Per language: fertility does not move in its third digit beyond a tenth of it, and the slowest library encodes it in
five seconds."""
GROUPS = ("group", "doc")
BESIDE = ("language", "lang", *GROUPS)
"""Columns read beside `text`."""
NO_LANGUAGES = frozenset({"id", "doc", "url", "src"})
"""Columns of parallel text that look like a language code and are none."""
CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass
class Texts:
    """Documents of one language, in the order read."""

    language: str
    texts: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    bytes: int = 0
    full: bool = False
    """`MAX_BYTES` were reached: the rest was not read."""

    def add(self, text: str, group: str, file: str) -> None:
        """Keep a document unless there is enough text or it is blank."""
        self.full = self.full or self.bytes >= MAX_BYTES
        if self.full or not text.strip():
            return
        self.texts.append(text)
        self.groups.append(group)
        self.bytes += len(text.encode())
        if file not in self.files:
            self.files.append(file)


@dataclass(frozen=True)
class Parallel:
    """The same content in several languages: `rows[language][i]` are translations of each other for each i."""

    files: list[str]
    rows: dict[str, list[str]]
    groups: list[str]
    incomplete: int
    """Rows left out because a language was missing or blank."""

    def texts(self) -> dict[str, Texts]:
        """Each language's column as text."""
        return {
            language: Texts(language, column, self.groups, self.files, sum(len(text.encode()) for text in column))
            for language, column in self.rows.items()
        }


def read_texts(given: Sequence[str]) -> dict[str, Texts]:
    """Text per language, sorted, from `FILE` or `LANGUAGE=FILE`: .txt, .jsonl (plain, .gz, .zst), .parquet,
    a finished corpus or a run (their held-out text).

    Raises InputError for a file without text and for records whose language neither they nor the option names.
    """
    found: dict[str, Texts] = {}
    for one in given:
        language, path = _named(one)
        before = sum(len(texts.texts) for texts in found.values())
        any_full = False
        for record, group in _documents(path):
            code = language or record.get("language") or record.get("lang")
            if not isinstance(code, str):
                raise InputError(f"{path} does not say which language its text is in. Say it: --text lv={path}.")
            texts = found.setdefault(code, Texts(code))
            texts.add(str(record["text"]), group, str(path))
            any_full = any_full or texts.full
            if texts.full and language:
                break
        if sum(len(texts.texts) for texts in found.values()) == before and not any_full:
            raise InputError(f"{path} holds no text.")
    return dict(sorted(found.items()))


def read_parallel(given: str) -> Parallel:
    """Parallel text from `FILE` or `lv,et=FILE`: JSON lines or tab-separated with a header, a column per language.

    Without a list every column named like a language code counts. Raises InputError for fewer than two languages or
    no complete row.
    """
    chosen, path = _named(given)
    records = [row for _, row in (tsv_rows if ".tsv" in path.suffixes else json_rows)(path)]
    if not records:
        raise InputError(f"{path} holds no rows.")
    names = chosen.split(",") if chosen else [name for name in records[0] if _is_language(name, records[0][name])]
    missing = [name for name in names if name not in records[0]]
    if missing or len(names) < 2:
        raise InputError(
            f"{path} has the columns {', '.join(records[0])}; parity needs two or more named like a language"
            + (f", and {', '.join(missing)} is not among them." if missing else ".")
            + " Choose them with --parallel lv,et=FILE."
        )
    whole = [(place, one) for place, one in enumerate(records) if all(_has_text(one.get(name)) for name in names)]
    if not whole:
        raise InputError(f"{path}: no row has text in all of {', '.join(names)}.")
    groups = [_group(record, f"{path}:{place}") for place, record in whole]
    columns = {name: [str(record[name]) for _, record in whole] for name in names}
    return Parallel([str(path)], columns, groups, len(records) - len(whole))


def read_frequent(given: Sequence[str]) -> dict[str, list[str]]:
    """Words per language, most frequent first, from lines whose first column is a word: `LANGUAGE=FILE`."""
    return {language: [row[0].strip() for row in rows] for language, _, rows in map(read_lines, given)}


def read_lines(given: str) -> tuple[str, Path, list[list[str]]]:
    """Language, path and the tab-separated fields of each line that is not blank of `LANGUAGE=FILE`."""
    language, path = _named(given)
    if not language:
        raise InputError(f"{given}: say the language: {given.split('=')[0]} is given as lv={given}.")
    return language, path, [line.split("\t") for _, line in text_rows(path) if line.strip()]


def _named(given: str) -> tuple[str, Path]:
    name, _, rest = ("", "", given) if Path(given).exists() else given.partition("=")
    path = Path(rest or name)
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    return (name if rest else ""), path


def _documents(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """(record with `text`, group) of each document."""
    if path.is_dir():
        for file in _heldout_files(path):
            yield from _grouped(parquet_rows(file, BESIDE), file)
    elif path.suffix == ".parquet":
        yield from _grouped(parquet_rows(path, BESIDE), path)
    elif ".jsonl" in path.suffixes:
        yield from _grouped((row for _, row in json_rows(path)), path)
    elif ".txt" in path.suffixes:
        yield from _grouped(({"text": block} for block in _blocks(path)), path)
    else:
        raise InputError(f"{path} is none of .txt, .jsonl (plain, .gz, .zst), .parquet, a corpus or a run.")


def _grouped(records: Iterator[dict[str, Any]], path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    for place, record in enumerate(records):
        if not isinstance(record.get("text"), str):
            raise InputError(f"{path}, record {place:,}: no field `text` with a string.")
        yield record, _group(record, f"{path}:{place}")


def _group(record: dict[str, Any], otherwise: str) -> str:
    return next((str(record[name]) for name in GROUPS if record.get(name)), otherwise)


def _heldout_files(path: Path) -> list[Path]:
    files = [file for place in (path, path / "corpus") for file in sorted((place / "heldout").glob("*/*.parquet"))]
    if not files:
        raise InputError(f"{path} has no held-out text: it is neither a finished corpus nor a run with one.")
    return files


def _blocks(path: Path) -> Iterator[str]:
    block: list[str] = []
    for _, line in text_rows(path):
        if line.strip():
            block.append(line)
        elif block:
            yield "\n".join(block)
            block = []
    if block:
        yield "\n".join(block)


def _is_language(name: str, value: Any) -> bool:
    return isinstance(value, str) and name not in NO_LANGUAGES and CODE.fullmatch(name) is not None


def _has_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
