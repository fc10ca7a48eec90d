"""Items of a task: JSON lines, plain or Zstandard, checked before anything is scored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import zstandard

from eurolm.artifacts.hashing import sha256_file
from eurolm.errors import InputError
from eurolm.tasks.load import Task


@dataclass(frozen=True)
class Item:
    """A minimal pair: the good and the bad text, and the document they come from."""

    id: str
    good: str
    bad: str
    cluster: str


def items(task: Task) -> list[Item]:
    """All items in file order.

    Raises InputError, naming file and line, for a missing file, a damaged one, a line that is not an object, a missing
    or empty side, two equal sides, or an id that occurs twice.
    """
    path = task.items_path
    found: list[Item] = []
    seen: dict[str, int] = {}
    try:
        for number, line in enumerate(_lines(task), start=1):
            item = _item(task, line, f"{path}:{number}")
            if item.id in seen:
                raise InputError(
                    f"{path}:{number}: id {item.id!r} was used in line {seen[item.id]} already. Ids must be unique."
                )
            seen[item.id] = number
            found.append(item)
    except FileNotFoundError:
        raise InputError(f"{path}, the items of task {task.name}, does not exist.") from None
    except (zstandard.ZstdError, UnicodeDecodeError) as error:
        raise InputError(f"{path}, the items of task {task.name}, is damaged: {error}. Fetch it again.") from None
    if not found:
        raise InputError(f"{path}, the items of task {task.name}, is empty.")
    return found


def items_sha256(task: Task) -> str:
    """Hash of the item file as it is stored."""
    return sha256_file(task.items_path)


def _lines(task: Task) -> Iterator[str]:
    data = task.items_path.read_bytes()
    if task.items_path.suffix == ".zst":
        # A stream reader takes a truncated frame for the end of the file; this says whether the frame ended.
        frame = zstandard.ZstdDecompressor().decompressobj()
        data = frame.decompress(data)
        if not frame.eof:
            raise zstandard.ZstdError("the compressed file is cut short")
    return (line for line in data.decode("utf-8").split("\n") if line.strip())


def _item(task: Task, line: str, place: str) -> Item:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{place}: not JSON ({error}).") from None
    if not isinstance(record, dict):
        raise InputError(f"{place}: a JSON object is wanted, not {type(record).__name__}.")
    values: dict[str, str] = {}
    for field, key in (("id", task.fields.id), ("good", task.fields.good), ("bad", task.fields.bad)):
        value = record.get(key)
        if not isinstance(value, str) or not value:
            raise InputError(f"{place}: field {key!r} of task {task.name} must be a non-empty string, not {value!r}.")
        values[field] = value
    if values["good"] == values["bad"]:
        raise InputError(f"{place}: both sides of the pair are the same text.")
    cluster = record.get(task.fields.cluster) if task.fields.cluster else None
    return Item(**values, cluster=str(cluster) if cluster is not None else values["id"])
