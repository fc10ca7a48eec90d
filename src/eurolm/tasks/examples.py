"""Which items are shown as examples, and which are scored under a limit: by hash, so that it never changes.

Examples are other items of the task in one order for a seed; an item skips those of its own document. Nearly all
prompts of a task therefore begin with the same examples, which is scored once. A limit takes the items whose hashes
come first: part of a greater limit, and spread over a file that is sorted by subject.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from eurolm.errors import ConfigError
from eurolm.tasks.items import Item
from eurolm.tasks.load import Task


class Examples:
    """Examples for the items of a task, drawn from `pool`."""

    def __init__(self, task: Task, pool: Sequence[Item], shots: int, seed: int) -> None:
        """`shots` examples a question, in an order that `seed` decides."""
        self._task, self._shots = task, shots
        self._order = sorted(pool, key=lambda item: _key(f"{seed}/{item.id}")) if shots else []

    def of(self, item: Item) -> list[Item]:
        """The examples shown before `item`. Raises ConfigError where the other documents hold too few."""
        others = (other for other in self._order if other.id != item.id and other.cluster != item.cluster)
        chosen = [example for example, _ in zip(others, range(self._shots), strict=False)]
        if len(chosen) < self._shots:
            raise ConfigError(
                f"task {self._task.name} has {len(self._order):,} items, too few for {self._shots} examples from "
                f"documents other than that of {item.id!r}. Ask for {len(chosen)} or fewer."
            )
        return chosen


def limited(found: Sequence[Item], limit: int | None) -> list[Item]:
    """At most `limit` items, in their order; all where it is null."""
    if limit is None or limit >= len(found):
        return list(found)
    chosen = set(sorted((item.id for item in found), key=_key)[:limit])
    return [item for item in found if item.id in chosen]


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
