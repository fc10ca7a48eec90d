"""What an evaluation says in words: notes for the reader of the figures, lines for the person at the terminal."""

from __future__ import annotations

from typing import Any

from eurolm.console import Reporter
from eurolm.evaluate.paired import SCOPE
from eurolm.evaluate.request import Material, Request
from eurolm.evaluate.results import Results, Score, TaskScore
from eurolm.evaluate.text import HeldoutText

MOST_OF_ONE_GROUP = 0.25
"""Share of the text from which one group decides how wide an interval is."""


def notes(
    request: Request, material: Material, tasks: dict[str, TaskScore], counted: dict[str, dict[str, Any]]
) -> list[str]:
    """What a reader of the figures must know."""
    said = _text_notes(request, material, counted)
    for name, task in tasks.items():
        if task.counts.left_out:
            said.append(
                f"{name}: {task.counts.left_out:,} items have no finite score and are left out of every figure."
            )
    cut = [
        f"{name} ({task.counts.truncated:,} of {task.counts.items:,})"
        for name, task in tasks.items()
        if task.counts.truncated
    ]
    if cut:
        said.append(f"Prompts longer than the model's context were cut on the left: {', '.join(cut)}.")
    if request.config.limit is not None:
        said.append(f"At most {request.config.limit:,} items of each task were scored (limit).")
    not_sought = [name for name, task in tasks.items() if task.contamination is None]
    if not_sought:
        why = "there is no corpus" if request.corpus is None else "the corpus stage did not look for these items"
        said.append(f"Contamination of {_named(not_sought, tasks)} is not known: {why}.")
    unread = [asked.name for asked in material.tasks if asked.task.reviewed_by is None]
    if unread:
        said.append(f"No speaker of the language has reviewed items and prompts of {_named(unread, tasks)}.")
    said.append(f"Intervals cover the choice of items and documents: {SCOPE}.")
    return said


def _text_notes(request: Request, material: Material, counted: dict[str, dict[str, Any]]) -> list[str]:
    said = []
    if not request.heldout:
        said.append("No held-out text of a corpus was scored, so no bits per byte of it.")
    for text in material.texts:
        if not text.documents:
            said.append(f"{text.language}: no held-out documents, so no bits per byte.")
        elif len(text.documents) < text.available:
            said.append(
                f"{text.language}: {len(text.documents):,} of {text.available:,} held-out documents scored "
                f"({sum(text.sizes):,} of {text.available_bytes:,} bytes; evaluate.heldout_max_bytes)."
            )
        if text.documents and (largest := _largest_group(text)) > MOST_OF_ONE_GROUP:
            said.append(
                f"{text.language}: one group of documents holds {largest:.0%} of the scored bytes: a wide interval."
            )
    for language, entry in counted.items():
        if not entry["complete"]:
            said.append(
                f"{language}: n-gram models saw {entry['bytes']:,} bytes of training text, the beginning of every "
                "shard (evaluate.ngram_max_bytes)."
            )
    if request.start is None:
        said.append("The model before its first step is not known, so no untrained rows.")
    elif request.start.use is not None:
        said.append(f"The untrained rows are the model training started from ({request.start.use}).")
    elif material.texts:
        said.append("The untrained model read the held-out text in windows without overlap.")
    return said


def _largest_group(text: HeldoutText) -> float:
    """Share of the bytes that the largest group of documents holds."""
    sizes: dict[str, int] = {}
    for document, size in zip(text.documents, text.sizes, strict=True):
        name = document.group or document.id
        sizes[name] = sizes.get(name, 0) + size
    return max(sizes.values()) / sum(sizes.values())


def tell(results: Results, reporter: Reporter) -> None:
    """A line per language, a table of tasks, and what a reader must know."""
    for language, score in results.bits_per_byte.items():
        rows = score.rows
        counted = "".join(f", {size}-gram {value:.3f}" for size, value in sorted(rows.ngrams.items()))
        reporter.say(
            f"  {language}: {score.value:.3f} bits per byte{_range(score.low, score.high)} on {score.bytes:,} bytes "
            f"(untrained {_number(rows.untrained)}, uniform {rows.uniform:.3f}{counted})"
        )
    table = [HEAD, *(_line(name, task) for name, task in results.tasks.items())]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table if results.tasks else []:
        reporter.say("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for language, mean in results.macro.items():
        reporter.say(f"  mean of {len(mean.tasks)} {language} tasks: {mean.value:.3f}{_range(mean.low, mean.high)}")
    for note in results.notes:
        reporter.say(f"  · {note}")


HEAD = ("task", "score", "95 % interval", "items", "metric", "best baseline", "")


def _line(name: str, task: TaskScore) -> tuple[str, ...]:
    score = task.scores[task.headline]
    figure, best = score.figure, score.best_baseline
    return (
        name,
        _number(figure.value),
        _range(figure.low, figure.high).strip() or "n/a",
        f"{figure.items:,}",
        task.headline.replace("_", " "),
        f"{score.baselines[best]:.3f} {best.replace('_', ' ')}" if best else "none",
        verdict(score),
    )


def verdict(score: Score) -> str:
    """How a score stands to the best of its baselines."""
    if score.above_baseline is None:
        return "" if score.best_baseline is None else "no interval"
    return "better" if score.above_baseline else "not better"


def _named(names: list[str], tasks: dict[str, TaskScore]) -> str:
    return "all tasks" if len(names) == len(tasks) > 1 else ", ".join(names)


def _range(low: float | None, high: float | None) -> str:
    return f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
