"""Every evaluation item that is looked for: those of eurolm's tasks and those of the user's files."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from eurolm.config.corpus import DecontaminationConfig, ItemsFile
from eurolm.corpus.sources.rows import json_rows
from eurolm.errors import ConfigError, InputError
from eurolm.tasks.items import items
from eurolm.tasks.load import load_task, task_names
from eurolm.tasks.views import record_views, views


class Query(NamedTuple):
    """An item: its task, its id there, and the texts that give it away."""

    task: str
    item: str
    views: tuple[str, ...]


def queries(config: DecontaminationConfig) -> Iterator[Query]:
    """All items, tasks by name, then files in the order of the config.

    Raises ConfigError for a pattern that no task matches, InputError for a file that cannot be searched for.
    """
    for name in chosen_tasks(config.tasks):
        task = load_task(name)
        for item in items(task):
            yield Query(name, item.id, views(task, item))
    for file in config.files:
        yield from _file_queries(file)


def chosen_tasks(patterns: list[str]) -> list[str]:
    """Names of the tasks that any pattern matches, sorted. Raises ConfigError for a pattern that matches none."""
    names = task_names()
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"corpus.decontamination.tasks: {pattern!r} matches no task. There are: {', '.join(names)}. "
                "Items of other tasks go under corpus.decontamination.files."
            )
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _file_queries(file: ItemsFile) -> Iterator[Query]:
    """Items of one file; the task is called after it."""
    path = file.path
    if not path.is_file():
        raise InputError(f"{path}, named under corpus.decontamination.files, does not exist.")
    task = path.name.split(".jsonl")[0]
    any_text, seen = False, set[str]()
    for place, record in json_rows(path):
        seen |= record.keys()
        found = record_views(record, file.fields)
        any_text = any_text or bool(found)
        yield Query(task, str(record.get("id", place.rpartition(":")[2])), found)
    missing = [name for name in file.fields if name not in seen]
    if missing or not any_text:
        wrong = f"no record has the field {missing[0]!r}" if missing else "no record holds text"
        raise InputError(
            f"{path}, named under corpus.decontamination.files: {wrong}. "
            f"Fields of its records: {', '.join(sorted(seen)) or 'none'}."
        )


def input_files(config: DecontaminationConfig) -> list[Path]:
    """Files whose contents decide what is looked for: items of the chosen tasks, then the user's."""
    return [load_task(name).items_path for name in chosen_tasks(config.tasks)] + [file.path for file in config.files]
