"""Items of a task: JSON lines, plain or Zstandard, checked before anything is scored."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import zstandard

from eurolm.artifacts.hashing import sha256_file
from eurolm.errors import InputError
from eurolm.tasks.entities import entities_of_spans, entities_of_tags
from eurolm.tasks.load import FETCHED, Task

LEAST_CHOICES, MOST_CHOICES = 2, 26


@dataclass(frozen=True)
class Item:
    """One question. Which fields are filled follows from the task's kind; `record` is all that the file says."""

    id: str
    cluster: str
    """Document the item comes from; its own id where the data names none."""
    group: str = ""
    text: str = ""
    """What is classified, labelled, translated or measured."""
    choices: tuple[str, ...] = ()
    """Good and bad side of a minimal pair; options of multiple choice."""
    gold: int | None = None
    """Index into `choices`, or into the task's `labels` for classification."""
    references: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    """Entities: (label of the data, text)."""
    record: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def good(self) -> str:
        """The acceptable side of a minimal pair."""
        return self.choices[0]

    @property
    def bad(self) -> str:
        """The other side."""
        return self.choices[1]


def items(task: Task) -> list[Item]:
    """All items in file order.

    Raises InputError, naming file and line, for a missing file, a damaged one, a line that is not an object, and
    whatever `Checked` finds wrong with a record: a missing, empty or non-string field, a gold answer that is none of
    the choices, another number of choices than the items before, an id that occurs twice.
    """
    path = task.items_path
    found: dict[str, Item] = {}
    lines: dict[str, int] = {}
    records = 0
    try:
        for number, line in _lines(task):
            checked = Checked(task, _record(line, f"{path}:{number}"), f"{path}:{number}")
            records += 1
            if not checked.wanted():
                continue
            item = checked.item()
            if item.id in found and not task.fields.gather:
                raise InputError(
                    f"{path}:{number}: id {item.id!r} was used in line {lines[item.id]} already. Ids must be unique."
                )
            _same_count(task, item, found, f"{path}:{number}")
            lines.setdefault(item.id, number)
            found[item.id] = _gathered(found[item.id], item) if item.id in found else item
    except FileNotFoundError:
        raise _missing(task) from None
    except (zstandard.ZstdError, UnicodeDecodeError) as error:
        raise InputError(f"{path}, the items of task {task.name}, is damaged: {error}. Fetch it again.") from None
    if not found:
        why = f"has {records:,} records, none with {task.where}" if records else "is empty"
        raise InputError(f"{path}, the items of task {task.name}, {why}.")
    return list(found.values())


def items_sha256(task: Task) -> str:
    """Hash of the item file as it is stored. Raises InputError where it is missing."""
    try:
        return sha256_file(task.items_path)
    except FileNotFoundError:
        raise _missing(task) from None


def _missing(task: Task) -> InputError:
    said = f"{task.items_path}, the items of task {task.name}, does not exist."
    if task.items_path != task.fetched_path:
        return InputError(said)
    return InputError(
        f"{said} On a machine with network: eurolm tasks fetch {task.name}; where that is another machine, copy the "
        f"file and set {FETCHED} to its directory. Nothing is downloaded during an evaluation."
    )


def _lines(task: Task) -> Iterator[tuple[int, str]]:
    data = task.items_path.read_bytes()
    if task.items_path.suffix == ".zst":
        # A stream reader takes a truncated frame for the end of the file; this says whether the frame ended.
        frame = zstandard.ZstdDecompressor().decompressobj()
        data = frame.decompress(data)
        if not frame.eof:
            raise zstandard.ZstdError("the compressed file is cut short")
    return ((number, line) for number, line in enumerate(data.decode("utf-8").split("\n"), start=1) if line.strip())


def _record(line: str, place: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{place}: not JSON ({error}).") from None
    if not isinstance(record, dict):
        raise InputError(f"{place}: a JSON object is wanted, not {type(record).__name__}.")
    return record


def _same_count(task: Task, item: Item, found: Mapping[str, Item], place: str) -> None:
    """Letters and chance mean the same for every item only where all have as many choices."""
    first = next(iter(found.values()), item)
    if len(item.choices) != len(first.choices) and not task.fields.choices_vary:
        raise InputError(
            f"{place}: {len(item.choices)} choices, where item {first.id!r} has {len(first.choices)}. Give every item "
            "as many, or set fields.choices_vary: true in the task's YAML."
        )


def _gathered(first: Item, further: Item) -> Item:
    return dataclasses.replace(first, references=tuple(dict.fromkeys((*first.references, *further.references))))


@dataclass(frozen=True)
class Checked:
    """A record of a task's file on its way to an item; every look at a field checks it."""

    task: Task
    record: Mapping[str, Any]
    place: str

    def wanted(self) -> bool:
        """Whether the record is an item at all: `where` and `skip_blank` of the task's YAML."""
        fields = self.task.fields
        blank = fields.skip_blank and fields.text is not None and not str(self.value(fields.text) or "x").strip()
        return not blank and all(self.value(name) == wanted for name, wanted in self.task.where.items())

    def item(self) -> Item:
        """The item, by the kind of the task."""
        fields = self.task.fields
        parts = (fields.id,) if isinstance(fields.id, str) else fields.id
        name = "/".join(self.string(part) for part in parts)
        item = Item(
            id=name,
            cluster=str(self.value(fields.cluster)) if fields.cluster and self.value(fields.cluster) else name,
            group=self.string(fields.group) if fields.group else "",
            text=self.string(fields.text) if fields.text else "",
            references=self.strings(fields.references) if fields.references else (),
            record=self.record,
        )
        match self.task.kind:
            case "minimal_pairs":
                return dataclasses.replace(item, choices=self._pair(), gold=0)
            case "multiple_choice":
                choices = self._choices()
                return dataclasses.replace(item, choices=choices, gold=self._gold(len(choices)))
            case "classification":
                return dataclasses.replace(item, gold=self._label())
            case "sequence_labelling":
                text, found = self._entities(item.text)
                return dataclasses.replace(item, text=text, labels=found)
            case _:
                return item

    def value(self, path: str) -> Any:
        """What stands at a path of names and places, `refs.0`; None where nothing does."""
        value: Any = self.record
        for step in path.split("."):
            if isinstance(value, list) and step.isdigit():
                value = value[int(step)] if int(step) < len(value) else None
            else:
                value = value.get(step) if isinstance(value, Mapping) else None
        return value

    def string(self, path: str) -> str:
        """The text at `path`. Raises InputError for anything but a string with a visible character."""
        return self._text(self.value(path), repr(path))

    def strings(self, path: str) -> tuple[str, ...]:
        """One text or a list of texts."""
        value = self.value(path)
        if not isinstance(value, list):
            return (self._text(value, repr(path)),)
        if not value:
            raise self._wrong(f"{path!r} must not be an empty list")
        return tuple(self._text(entry, f"{path!r}, entry {number},") for number, entry in enumerate(value, start=1))

    def _text(self, value: Any, name: str) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(f"{name} must be a non-empty string, not {value!r}")
        return value

    def _wrong(self, said: str) -> InputError:
        return InputError(f"{self.place}: field {said} (task {self.task.name}).")

    def _pair(self) -> tuple[str, str]:
        good, bad = self.string(self.task.fields.good or ""), self.string(self.task.fields.bad or "")
        if good == bad:
            raise InputError(f"{self.place}: both sides of the pair are the same text.")
        return good, bad

    def _choices(self) -> tuple[str, ...]:
        named = self.task.fields.choices
        choices = self.strings(named) if isinstance(named, str) else tuple(map(self.string, named or ()))
        if not LEAST_CHOICES <= len(choices) <= MOST_CHOICES:
            raise self._wrong(f"{named!r} must hold {LEAST_CHOICES} to {MOST_CHOICES} choices, not {len(choices)}")
        return tuple(choice.strip() for choice in choices)

    def _gold(self, count: int) -> int:
        name = self.task.fields.gold or ""
        value = self.value(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < count:
            raise self._wrong(f"{name!r}, the right choice, must be an integer from 0 to {count - 1}, not {value!r}")
        return value

    def _label(self) -> int:
        name = self.task.fields.gold or ""
        value, labels = self.value(name), list(self.task.labels)
        if value not in labels:
            raise self._wrong(f"{name!r} must be one of the task's labels {', '.join(labels)}, not {value!r}")
        return labels.index(value)

    def _entities(self, text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        fields = self.task.fields
        try:
            if fields.spans:
                found = entities_of_spans(text, self.value(fields.spans))
            else:
                tokens = self.strings(fields.tokens or "")
                text, found = " ".join(tokens), entities_of_tags(tokens, self.value(fields.tags or ""))
        except ValueError as error:
            raise InputError(f"{self.place}: {error}") from None
        return text, found
