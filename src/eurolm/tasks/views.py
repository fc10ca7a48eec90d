"""What a model sees of an evaluation item: the texts that must not stand in training data.

Items of eurolm's own tasks say it by their kind. A record of somebody else's file is read by its shape: words split
into a list belong together, choices are taken one at a time, and where no fields are named, strings without a space
(labels, ids, addresses) are no text and every longer field also counts on its own, because the two languages of a
translation, or the two sides of a pair, leak one without the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from eurolm.tasks.items import Item
from eurolm.tasks.load import Task

NO_TEXT = re.compile(r"(^|_)(ids?|doc|url|ner|tags?|labels?|pos|feats|types?|lang|language|licen[cs]e|split)(_|$)")
"""Fields that name or label an item."""
CHOICE = re.compile(r"^(choice|option|ending|alternative|sol)s?_?\w?$")
LEAST_WORDS_BESIDE_CHOICES = 8
"""A premise or question counts without its choices from this many words (split at white space): shorter ones are
everyday sentences, of which only the item as a whole is telling."""


class Part(NamedTuple):
    """One string of a record, and whether it is one of several choices."""

    text: str
    choice: bool


def views(task: Task, item: Item) -> tuple[str, ...]:
    """The texts a model is shown or scored on for an item of `task`, never empty.

    Both sides of a minimal pair; question and choices by the shape of the record; both sides of a translation, together
    and each alone; the forms asked for in inflection; else the text itself.
    """
    match task.kind:
        case "minimal_pairs":
            return item.choices
        case "multiple_choice" | "generation":
            return record_views(item.record)
        case "translation":
            return tuple(dict.fromkeys(("\n".join((item.text, *item.references)), item.text, *item.references)))
        case "inflection":
            return item.references
        case "classification" | "sequence_labelling" | "bits_per_byte":
            return (item.text,)


def record_views(record: Mapping[str, Any], fields: Sequence[str] = ()) -> tuple[str, ...]:
    """The different texts of a record, the whole first.

    With `fields`: these, joined in this order, and once with each choice alone. Without: every string of the record
    that has a space, and each longer one by itself; where none has, every string by itself. Empty when the record
    holds no strings.
    """
    if fields:
        texts = _whole([part for name in fields for part in _parts(name, record.get(name))])
    else:
        found = [part for name, value in record.items() if not NO_TEXT.search(name) for part in _parts(name, value)]
        phrases = [part for part in found if part.choice or _words(part) > 1]
        rest = [part for part in phrases if not part.choice]
        least = LEAST_WORDS_BESIDE_CHOICES if len(rest) < len(phrases) else 1
        texts = _whole(phrases) + [part.text for part in rest or found if _words(part) >= least]
    return tuple(dict.fromkeys(text for text in texts if text))


def _whole(parts: Sequence[Part]) -> list[str]:
    """All parts together, and what is no choice with one choice at a time."""
    picked = [[part for part in parts if not part.choice or part is one] for one in parts if one.choice]
    return ["\n".join(part.text for part in some) for some in ([*parts], *picked)]


def _words(part: Part) -> int:
    return len(part.text.split())


def _parts(name: str, value: Any) -> Iterator[Part]:
    """The strings of a field in order, at any depth."""
    if isinstance(value, str):
        yield Part(value, bool(CHOICE.search(name)))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not NO_TEXT.search(key):
                yield from _parts(key, inner)
    elif isinstance(value, list):
        split_words = all(isinstance(entry, str) and not re.search(r"\s", entry) for entry in value)
        if split_words and not CHOICE.search(name):
            yield Part(" ".join(value), False)
        else:
            for entry in value:
                yield from _parts(name, entry)
