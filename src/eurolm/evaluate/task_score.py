"""A task's part of the results: figures of the reported template, spread over the others, parts, contamination."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from eurolm.artifacts.atomic import write_text
from eurolm.artifacts.hashing import sha256_json
from eurolm.evaluate.answers import Answer, prompts_sha256
from eurolm.evaluate.asked import Asked
from eurolm.evaluate.baselines import scores
from eurolm.evaluate.calibration import calibration
from eurolm.evaluate.contamination import Hits, not_sought
from eurolm.evaluate.intervals import Interval, mean_interval
from eurolm.evaluate.judge import Judged, judge
from eurolm.evaluate.measures import figure
from eurolm.evaluate.results import Calibration, Contamination, Counts, Figure, Macro, Spread, TaskScore
from eurolm.tasks.items import items_sha256
from eurolm.tasks.load import Task


def task_score(
    asked: Asked, own: dict[str, list[Answer]], untrained: list[Answer] | None, uniform_bits: float, hits: Hits
) -> tuple[TaskScore, Judged]:
    """The figures of one task from the answers by template, and what the reported ones were judged to be."""
    task, template = asked.task, asked.template
    every = {name: judge(task, name, asked.prompts[name], found) for name, found in own.items()}
    judged = every[template]
    before = judge(task, template, asked.prompts[template], untrained) if untrained is not None else None
    all_items = judged.prompts
    groups = sorted({prompt.group for prompt in all_items} - {""})
    main = judged.measures[judged.headline]
    score = TaskScore(
        language=task.language,
        kind=task.kind,
        headline=judged.headline,
        scores=scores(task, asked.items, judged, before, uniform_bits),
        spread=_spread(template, every) if template else None,
        groups={
            group: figure(main, judged.clusters, [prompt.group == group for prompt in all_items]) for group in groups
        },
        calibration=_calibration(task, judged),
        contamination=_contamination(judged, hits.of(task.name), not_sought(task, asked.items)),
        counts=_counts(asked, own[template], judged),
        shots=asked.shots,
        written=task.written,
        license=task.license,
        reviewed_by=task.reviewed_by,
        items_sha256=items_sha256(task),
        scored_sha256=sha256_json([item.id for item in asked.items]),
        prompts_sha256=all_prompts_sha256(asked),
        items_file=task.items_path.name,
    )
    return score, judged


def all_prompts_sha256(asked: Asked) -> str:
    """Hash of everything a model is shown, all templates."""
    return sha256_json([[name, prompts_sha256(found)] for name, found in asked.prompts.items()])


def macro(tasks: dict[str, TaskScore]) -> dict[str, Macro]:
    """The mean headline of each language with two tasks or more, in the order in which they come."""
    found = {}
    for language in dict.fromkeys(task.language for task in tasks.values()):
        own = {name: task for name, task in tasks.items() if task.language == language}
        counted = {
            name: headline.figure
            for name, task in own.items()
            for headline in [task.scores[task.headline]]
            if headline.better == "higher" and headline.figure.value is not None
        }
        if len(counted) < 2:
            continue
        values = [one.value for one in counted.values() if one.value is not None]
        interval = mean_interval(values, [Interval(one.low, one.high) for one in counted.values()])
        mean = sum(values) / len(values)
        left = [name for name in own if name not in counted]
        found[language] = Macro(mean, interval.low, interval.high, list(counted), left)
    return found


def write_items(path: Path, judged: Judged, hits: Hits, task: str) -> None:
    """One JSON line per item: what the model gave, what it was judged to be, its row of every measure, and whether the
    item was found in the training text."""
    known = hits.of(task)
    lines = []
    for place, (prompt, answer, said) in enumerate(zip(judged.prompts, judged.answers, judged.said, strict=True)):
        record = {
            "id": prompt.item,
            "cluster": prompt.cluster,
            **({"group": prompt.group} if prompt.group else {}),
            **said,
            **({"log2_probability": list(answer.bits)} if answer.bits else {}),
            **({"unconditional": list(answer.unconditional)} if answer.unconditional else {}),
            "tokens": list(answer.tokens),
            "truncated_tokens": answer.truncated,
            "hit": None if known is None else prompt.item in known[0],
            "rows": {name: measure.rows[place].tolist() for name, measure in judged.measures.items()},
        }
        lines.append(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(path, "".join(lines))


def _spread(template: str, every: dict[str, Judged]) -> Spread:
    values: dict[str, float | None] = {}
    for name, judged in every.items():
        main: Figure = figure(judged.measures[judged.headline], judged.clusters)
        values[name] = main.value
    known = [value for value in values.values() if value is not None]
    return Spread(template, values, statistics.stdev(known) if len(known) > 1 else None)


def _calibration(task: Task, judged: Judged) -> Calibration | None:
    if task.kind not in ("multiple_choice", "classification"):
        return None
    return calibration([answer.bits for answer in judged.answers], [prompt.gold or 0 for prompt in judged.prompts])


def _contamination(
    judged: Judged, known: tuple[frozenset[str], int] | None, others: frozenset[str]
) -> Contamination | None:
    if known is None:
        return None
    found, unchecked = known
    unsought = others - found
    if unsought and all(prompt.item in unsought for prompt in judged.prompts):
        return None
    hit: Sequence[bool] = [prompt.item in found for prompt in judged.prompts]
    main = judged.measures[judged.headline]
    without = figure(main, judged.clusters, [not one for one in hit])
    return Contamination(sum(hit), unchecked + len(unsought), without, figure(main, judged.clusters, hit))


def _counts(asked: Asked, given: list[Answer], judged: Judged) -> Counts:
    finite = sum(answer.finite for answer in given)
    truncated = sum(answer.truncated > 0 for answer in given)
    return Counts(finite, len(asked.items) - finite, truncated, judged.ties)
