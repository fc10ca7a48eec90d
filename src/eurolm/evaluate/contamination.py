"""Which evaluation items the corpus stage met in the training text, so that scores can be had without them.

The corpus stage removes what it finds; items found are still the ones that other copies of the same text may have
given away (paraphrases, translations), and a later `eurolm corpus recheck` may find more. So both scores are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eurolm.artifacts.atomic import read_json
from eurolm.errors import InputError
from eurolm.tasks.items import Item, items
from eurolm.tasks.load import Task, load_task, task_names

HITS, REPORT = "hits.parquet", "report.json"


@dataclass(frozen=True)
class Hits:
    """Items found, by task; `sought` are the tasks that were looked for and how many items were too short."""

    items: dict[str, frozenset[str]]
    sought: dict[str, int]

    def of(self, task: str) -> tuple[frozenset[str], int] | None:
        """Ids of the items of a task that were found, and how many could not be sought; null where none was sought."""
        return (self.items.get(task, frozenset()), self.sought[task]) if task in self.sought else None


def read_hits(corpus: Path | None, more: Sequence[Path]) -> Hits:
    """Hits of a finished corpus and of `hits.parquet` files that `eurolm corpus recheck` wrote.

    Raises InputError for a file that is no list of hits.
    """
    hits: dict[str, set[str]] = {}
    sought: dict[str, int] = {}
    if corpus is not None and (corpus / REPORT).is_file():
        tasks = (read_json(corpus / REPORT).get("decontamination") or {}).get("tasks", [])
        sought |= {entry["task"]: entry["not_checkable"] for entry in tasks}
    own = [corpus / HITS] if corpus is not None and (corpus / HITS).is_file() else []
    for path in [*own, *more]:
        for task, item in _rows(path):
            hits.setdefault(task, set()).add(item)
            sought.setdefault(task, 0)
    return Hits({task: frozenset(found) for task, found in hits.items()}, sought)


def not_sought(task: Task, found: Sequence[Item]) -> frozenset[str]:
    """Ids of the items that no corpus stage looked for, because they come from another file than the carried one."""
    if task.name not in task_names() or load_task(task.name).items_path == task.items_path:
        return frozenset()
    carried = {item.id for item in items(load_task(task.name))}
    return frozenset(item.id for item in found if item.id not in carried)


def _rows(path: Path) -> list[tuple[str, str]]:
    import polars as pl

    try:
        table = pl.read_parquet(path, columns=["task", "item"]).unique(maintain_order=True)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{path} is no list of hits of the corpus stage or of `eurolm corpus recheck`: {error}"
        ) from None
    return [(str(task), str(item)) for task, item in table.iter_rows()]
