"""What a task's items give to whoever does not know the language: the figures that stand beside every score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from eurolm.tasks.description import StatedBaselines
from eurolm.tasks.items import Item
from eurolm.tasks.load import Task


def baselines(task: Task, found: Sequence[Item]) -> StatedBaselines:
    """Baselines of these items, in the unit of the task's accuracy or exact match; ties of length are split.

    `uniform`, `majority` and `shortest` are for choices, `copy` for one written answer (does the input answer itself?).
    """
    match task.kind:
        case "minimal_pairs":
            return StatedBaselines(uniform=0.5, shortest=_shortest(found))
        case "multiple_choice":
            uniform = sum(1 / len(item.choices) for item in found) / len(found)
            return StatedBaselines(uniform=uniform, majority=_majority(found), shortest=_shortest(found))
        case "classification":
            words = tuple(task.labels.values())
            return StatedBaselines(
                uniform=1 / len(words),
                majority=_majority(found),
                shortest=_mean(_won(words, item.gold) for item in found),
            )
        case "inflection" | "generation" if task.fields.text and task.metric == "exact_match":
            return StatedBaselines(copy=_mean(float(item.text in item.references) for item in found))
        case _:
            return StatedBaselines()


def _majority(found: Sequence[Item]) -> float:
    (_, count), *_ = Counter(item.gold for item in found).most_common(1)
    return count / len(found)


def _shortest(found: Sequence[Item]) -> float:
    return _mean(_won(item.choices, item.gold) for item in found)


def _won(choices: Sequence[str], gold: int | None) -> float:
    """Share of the shortest choices, in UTF-8 bytes, that is the right one."""
    sizes = [len(choice.encode()) for choice in choices]
    least = [place for place, size in enumerate(sizes) if size == min(sizes)]
    return (gold in least) / len(least)


def _mean(values: Iterable[float]) -> float:
    points = list(values)
    return sum(points) / len(points)
