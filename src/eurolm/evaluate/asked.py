"""Tasks as they are put to models: which items, in which words, with how many examples."""

from __future__ import annotations

from dataclasses import dataclass

from eurolm.evaluate.suites import Choice
from eurolm.tasks.examples import limited
from eurolm.tasks.items import Item, items
from eurolm.tasks.load import Task, load_task, with_items
from eurolm.tasks.prompts import Prompt, prompts


@dataclass(frozen=True)
class Asked:
    """One task and its prompts."""

    task: Task
    items: list[Item]
    shots: int
    prompts: dict[str, list[Prompt]]
    """By template, the reported one first; "" for kinds without."""

    @property
    def template(self) -> str:
        """The reported template."""
        return next(iter(self.prompts))

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.task.name


def asked(choices: dict[str, Choice], seed: int) -> list[Asked]:
    """Items and prompts of all tasks; `seed` chooses examples. Raises ConfigError or InputError for an unknown task or
    damaged items."""
    return [_asked(with_items(load_task(name), choice.items), choice, seed) for name, choice in choices.items()]


def _asked(task: Task, choice: Choice, seed: int) -> Asked:
    pool = items(task)
    found = limited(pool, choice.limit)
    names = list(task.templates)[: 1 if choice.templates == "first" else None] or [""]
    return Asked(task, found, choice.shots, {one: prompts(task, found, one, choice.shots, seed, pool) for one in names})
