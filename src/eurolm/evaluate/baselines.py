"""What a score must beat: figures that need no knowledge of the language, on the very items that were scored.

`uniform` guesses, `majority` always gives the most frequent answer, `shortest` and `longest` go by UTF-8 bytes,
`fewest_tokens` by the model's own tokenizer, `copy` repeats the input, `nothing` finds no entity, `untrained` is the
model before its first step. A score is above chance when its interval lies beyond the best of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eurolm.evaluate.judge import Judged, answer_line, sizes
from eurolm.evaluate.measures import Measure, figure, value_of
from eurolm.evaluate.results import Figure, Score
from eurolm.evaluate.translation import counts
from eurolm.tasks.baselines import baselines as of_items
from eurolm.tasks.items import Item
from eurolm.tasks.load import Task


def scores(
    task: Task, items: Sequence[Item], judged: Judged, untrained: Judged | None, uniform_bits: float
) -> dict[str, Score]:
    """Every measure of a task with its interval and its baselines. `uniform_bits`: log2 of the vocabulary."""
    found = {}
    for name, measure in judged.measures.items():
        own = figure(measure, judged.clusters)
        others = _baselines(task, items, judged, measure, uniform_bits)
        if untrained is not None and name in untrained.measures:
            value = figure(untrained.measures[name], untrained.clusters).value
            others |= {} if value is None else {"untrained": value}
        found[name] = _beside(own, measure.better, others)
    return found


def _beside(own: Figure, better: str, others: dict[str, float]) -> Score:
    if not others:
        return Score(own, better, {}, None, None)
    best = (max if better == "higher" else min)(others, key=lambda name: others[name])
    edge = own.low if better == "higher" else own.high
    above = None if edge is None else (edge > others[best] if better == "higher" else edge < others[best])
    return Score(own, better, others, best, above)


def _baselines(
    task: Task, items: Sequence[Item], judged: Judged, measure: Measure, uniform_bits: float
) -> dict[str, float]:
    if not judged.prompts:
        return {}
    match task.kind, measure.name:
        case "minimal_pairs", _:
            return {"uniform": 0.5, **_by_length(judged, measure.rows[:, 1])}
        case (("multiple_choice" | "classification"), ("accuracy" | "accuracy_per_byte" | "accuracy_unconditional")):
            return {**_stated(task, items), **_by_length(judged, np.ones(len(judged.prompts)))}
        case "bits_per_byte", _:
            tokens = sum(answer.tokens[0] for answer in judged.answers)
            return {"uniform": uniform_bits * tokens / float(measure.rows[:, 1].sum())}
        case "sequence_labelling", "micro_f1":
            return {"nothing": 0.0}
        case (("inflection" | "generation"), "exact_match"):
            return _stated(task, items)
        case "translation", _:
            return _copied(items, judged, measure)
        case _:
            return {}


def _stated(task: Task, items: Sequence[Item]) -> dict[str, float]:
    known = of_items(task, items)
    named = {"uniform": known.uniform, "majority": known.majority, "copy": known.copied}
    return {name: value for name, value in named.items() if value is not None}


def _by_length(judged: Judged, weights: np.ndarray) -> dict[str, float]:
    """Accuracy of going by length alone, over items of weight 1; a tie counts as the chance of picking right."""
    chosen = [place for place, weight in enumerate(weights) if weight]
    if not chosen:
        return {}
    prompts, answers = [judged.prompts[place] for place in chosen], [judged.answers[place] for place in chosen]
    lengths = [sizes(prompt) for prompt in prompts]
    golds = [prompt.gold or 0 for prompt in prompts]
    return {
        "shortest": _won(lengths, golds),
        "longest": _won([[-length for length in row] for row in lengths], golds),
        "fewest_tokens": _won([list(answer.tokens) for answer in answers], golds),
    }


def _won(rows: Sequence[Sequence[int]], golds: Sequence[int]) -> float:
    points = [
        (row[gold] == min(row)) / sum(value == min(row) for value in row) for row, gold in zip(rows, golds, strict=True)
    ]
    return float(np.mean(points))


def _copied(items: Sequence[Item], judged: Judged, measure: Measure) -> dict[str, float]:
    texts = {item.id: item.text for item in items}
    sources = [answer_line(texts[prompt.item]) for prompt in judged.prompts]
    wanted = [prompt.references for prompt in judged.prompts]
    return {"copy": float(value_of(measure.form)(counts(sources, wanted, measure.form).sum(0)))}
