"""What an evaluation says in words: notes for the reader of the figures, lines for the person at the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.evaluate.results import Results
from eurolm.evaluate.text import HeldoutText
from eurolm.tasks.load import Task


def notes(
    config: Config, texts: Sequence[HeldoutText], tasks: Sequence[Task], counted: dict[str, dict[str, Any]]
) -> list[str]:
    """What a reader of the figures must know."""
    said = []
    if not texts:
        said.append("This run has no corpus, so no bits per byte.")
    for text in texts:
        if not text.documents:
            said.append(f"{text.language}: no held-out documents, so no bits per byte.")
        elif len(text.documents) < text.available:
            said.append(
                f"{text.language}: {len(text.documents):,} of {text.available:,} held-out documents scored "
                f"({sum(text.sizes):,} of {text.available_bytes:,} bytes; evaluate.heldout_max_bytes)."
            )
    for language, entry in counted.items():
        if not entry["complete"]:
            said.append(
                f"{language}: n-gram models saw {entry['bytes']:,} bytes of training text, the beginning of every "
                "shard (evaluate.ngram_max_bytes)."
            )
    if config.model.use is not None:
        said.append(f"The untrained rows are the model training started from ({config.model.use}).")
    elif texts:
        said.append("The untrained model read the held-out text in windows without overlap.")
    unread = [task.name for task in tasks if task.reviewed_by is None]
    if unread:
        said.append(f"No speaker of the language has reviewed the items of {', '.join(unread)}.")
    said.append("Intervals cover the choice of items and documents only: one training seed.")
    return said


def tell(results: Results, reporter: Reporter) -> None:
    """One line per language and task."""
    for language, score in results.bits_per_byte.items():
        rows = score.rows
        counted = "".join(f", {size}-gram {value:.3f}" for size, value in sorted(rows.ngrams.items()))
        reporter.say(
            f"  {language}: {score.value:.3f} bits per byte{_range(score.low, score.high)} on {score.bytes:,} bytes "
            f"(untrained {rows.untrained:.3f}, uniform {rows.uniform:.3f}{counted})"
        )
    for name, task in results.tasks.items():
        best = task.headline
        shown = "n/a" if best.value is None else f"{best.value:.3f}{_range(best.low, best.high)}"
        reporter.say(
            f"  {name}: {shown} on {best.items:,} pairs of equal length "
            f"(untrained {_figure(task.baselines.untrained)}, fewest tokens {_figure(task.baselines.fewest_tokens)}, "
            f"chance 0.500); all {_figure(task.all.value)}"
        )


def _range(low: float | None, high: float | None) -> str:
    return f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
