"""Parallel text that the parity search measures on: the same content in every language, a row each.

eurolm carries Latvian and Estonian help text of LibreOffice (`parallel/`, MPL-2.0); anybody's own file may be named.
Never a file that an evaluation suite scores: weights tuned on it would look better there than they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eurolm.artifacts.hashing import sha256_file
from eurolm.config.shipped import package_file
from eurolm.corpus.sources.rows import json_rows, tsv_rows
from eurolm.errors import ConfigError, InputError
from eurolm.tasks.load import load_task, task_names

CARRIED = "tokenizer/parallel/lv-et.jsonl.zst"
CARRIED_NAME = "LibreOffice help, Latvian and Estonian joined through English (MPL-2.0)"


@dataclass(frozen=True)
class Tuning:
    """What the weights were tuned on. `left_out` rows lack one of the languages."""

    name: str
    sha256: str
    rows: int
    left_out: int


def read_tuning(path: Path | None, languages: Sequence[str]) -> tuple[Tuning, dict[str, list[str]]]:
    """The tuning text and its rows per language, in file order.

    Raises InputError for a file that cannot be read or lacks a language, ConfigError for items of an evaluation task.
    """
    place = path or package_file(CARRIED)
    if not place.is_file():
        raise InputError(f"tokenizer.parity.tuning = {place}: there is no such file.")
    for name in task_names() if path else []:
        if load_task(name).items_path.resolve() == place.resolve():
            raise ConfigError(
                f"tokenizer.parity.tuning = {place} holds the items of the evaluation task {name}: scores on it would "
                "look better than they are. Take parallel text that no evaluation uses."
            )
    rows = _rows(place)
    columns = {column for row in rows for column, value in row.items() if value}
    for language in languages:
        if language not in columns:
            raise InputError(
                f"{place} has text in {', '.join(sorted(columns)) or 'no language'}, none in {language!r}, which the "
                f"corpus has too. Name a file with a column {language} in tokenizer.parity.tuning, or set "
                f"tokenizer.weights.{language} to leave it out of the search."
            )
    kept = [row for row in rows if all(row.get(language) for language in languages)]
    if not kept:
        raise InputError(f"{place}: no row has text in all of {', '.join(languages)}: it is not parallel text.")
    tuning = Tuning(path.name if path else CARRIED_NAME, sha256_file(place), len(kept), len(rows) - len(kept))
    return tuning, {language: [row[language] for row in kept] for language in languages}


def _rows(path: Path) -> list[dict[str, str]]:
    """Rows as `{column: text}`, columns that hold no text left out."""
    read = json_rows if ".jsonl" in path.suffixes else tsv_rows
    try:
        return [{key: value for key, value in row.items() if isinstance(value, str)} for _, row in read(path)]
    except InputError as error:
        raise InputError(
            f"tokenizer.parity.tuning = {path} is neither TSV with a header of language codes nor JSONL in UTF-8: "
            f"{error}"
        ) from None
