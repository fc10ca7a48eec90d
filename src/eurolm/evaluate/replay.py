"""A sample of items scored again: how far this device, library or parallelism moves the stored answers.

The same weights differ by up to ten points between accelerators (EuroEval #1703: MI250X and A100). What was stored is
the file of per-item answers, so a replay needs neither the machine nor the time of the evaluation itself.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.errors import InputError
from eurolm.evaluate.answers import Answer, Question
from eurolm.evaluate.judge import judge
from eurolm.tasks.prompts import Prompt


@dataclass(frozen=True)
class Drift:
    """What scoring a task's sample again changed. A figure is null where nothing of its kind was compared."""

    items: int
    """Scored again."""
    largest_bits: float | None
    """Greatest difference of a choice's or text's log2-probability."""
    mean_bits: float | None
    changed: int
    """Items with another answer: the most probable choice, the entities found, the text written."""
    not_finite: int
    """Items without a number now: inf or NaN."""
    not_stored: int
    """Items of the sample that the file lacks, because they had no number then."""


def replay(
    stored: Path, question: Question, answer: Callable[[Question], list[Answer]], share: float, seed: int
) -> Drift:
    """Put a sample of `question` to `answer` and compare with the items in `stored`, a file `items-*.jsonl`.

    The sample is `share` of the items, one at least, the same for the same seed. Raises InputError where the file
    cannot be read or has none of the sample.
    """
    if not 0 < share <= 1:
        raise InputError(f"--replay {share:.4g}: a share between 0 and 1 (0 and 100 %) is wanted.")
    known = _records(stored)
    chosen = sample(question.prompts, share, seed)
    prompts = [prompt for prompt in chosen if prompt.item in known]
    if not prompts:
        raise InputError(f"{stored} has no item of the sample, such as {chosen[0].item!r}. Evaluate again.")
    asked = Question(question.task, question.template, prompts)
    return drift(asked, [known[prompt.item] for prompt in prompts], answer(asked), len(chosen) - len(prompts))


def sample(prompts: Sequence[Prompt], share: float, seed: int) -> list[Prompt]:
    """`share` of the prompts, one at least, in their order, chosen by the hash of seed and item."""
    order = sorted(prompts, key=lambda prompt: hashlib.sha256(f"{seed}:{prompt.item}".encode()).digest())
    chosen = {prompt.item for prompt in order[: max(1, round(share * len(prompts)))]}
    return [prompt for prompt in prompts if prompt.item in chosen]


def drift(question: Question, before: Sequence[dict[str, Any]], now: Sequence[Answer], not_stored: int) -> Drift:
    """Compare stored records with answers to the same items."""
    pairs = [(record, answer) for record, answer in zip(before, now, strict=True) if answer.finite]
    judged = judge(question.task, question.template, question.prompts, now)
    distances = [
        abs(one - other)
        for record, answer in pairs
        for one, other in zip(record.get("log2_probability", ()), answer.bits, strict=True)
    ]
    return Drift(
        items=len(now),
        largest_bits=max(distances) if distances else None,
        mean_bits=math.fsum(distances) / len(distances) if distances else None,
        changed=sum(
            _said(record, record.get("log2_probability", ())) != _said(said, answer.bits)
            for (record, answer), said in zip(pairs, judged.said, strict=True)
        ),
        not_finite=len(now) - len(pairs),
        not_stored=not_stored,
    )


def _said(record: dict[str, Any], bits: Sequence[float]) -> list[Any]:
    """What an answer comes to."""
    best = _best(bits) if len(bits) > 1 else None
    return [best, record.get("predicted"), record.get("written")]


def _best(bits: Sequence[float]) -> int:
    return max(range(len(bits)), key=lambda place: bits[place])


def _records(path: Path) -> dict[str, dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return {record["id"]: record for record in map(json.loads, lines)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a file of scored items: {error}. Evaluate again.") from None
