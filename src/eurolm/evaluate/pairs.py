"""Minimal pairs: how often a model prefers the good side, and how often one would without knowing the language.

The headline counts summed log-probability on pairs whose sides have equally many UTF-8 bytes. On the other pairs
length alone decides much: taking the shorter side is right in 23 % of ScaLA-lv (words deleted) and 81 % of
inflection-swap-et. Even at equal length tokens tell: with a vocabulary of 4,096, taking the side with fewer is right
in 63 % of inflection-swap-et, and random weights do as well as that.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from eurolm.artifacts.atomic import write_text
from eurolm.console import Reporter
from eurolm.evaluate.results import Accuracy, Baselines, PairScore
from eurolm.evaluate.statistics import LEAST_CLUSTERS, Interval, effective_items, wilson
from eurolm.evaluate.subject import Subject
from eurolm.evaluate.units import Units
from eurolm.scoring.continuations import TextScore, score_pairs
from eurolm.tasks.items import Item, items_sha256
from eurolm.tasks.load import Task

Scored = tuple[TextScore, TextScore]


def model_pairs(
    subject: Subject, task: Task, found: Sequence[Item], batch_tokens: int, units: Units, role: str, reporter: Reporter
) -> list[Scored]:
    """Scores of the good and the bad side of each item; a unit."""

    def compute() -> list[list[float]]:
        with reporter.task(f"{task.name}, {role}", 100, "%") as progress:
            scores = score_pairs(
                subject.model,
                subject.tokenizer,
                [(item.good, item.bad) for item in found],
                batch_tokens,
                lambda share: progress.advance(100 * share),
                subject.device.workers,
            )
        return [[good.log2_probability, good.tokens, bad.log2_probability, bad.tokens] for good, bad in scores]

    identity = {
        "model": subject.identity,
        "tokenizer": subject.tokenizer.sha256,
        "items": items_sha256(task),
        "fields": task.fields.model_dump(),
        "dtype": subject.device.dtype_name,
        "device": subject.device.name,
    }
    rows = units.value(f"pairs-{task.name}-{role}", identity, compute)
    return [
        (TextScore(good, len(item.good.encode()), int(tokens)), TextScore(bad, len(item.bad.encode()), int(others)))
        for item, (good, tokens, bad, others) in zip(found, rows, strict=True)
    ]


def summed(pair: Scored) -> float:
    """1 where the good side is more probable, 0.5 for a tie, else 0."""
    good, bad = pair
    return _point(good.log2_probability, bad.log2_probability)


def per_byte(pair: Scored) -> float:
    """The same by log-probability per UTF-8 byte."""
    good, bad = pair
    return _point(good.log2_probability / good.bytes, bad.log2_probability / bad.bytes)


def shortest(pair: Scored) -> float:
    """The same for taking the side with fewer UTF-8 bytes."""
    good, bad = pair
    return _point(-good.bytes, -bad.bytes)


def fewest_tokens(pair: Scored) -> float:
    """The same for taking the side with fewer tokens."""
    good, bad = pair
    return _point(-good.tokens, -bad.tokens)


def accuracy(points: Sequence[float], clusters: Sequence[str]) -> Accuracy:
    """Mean of points 1, 0.5 (tie) and 0, with its interval."""
    if not points:
        return Accuracy(None, None, None, 0, 0, 0, 0.0)
    effective, groups = effective_items(points, clusters), len(set(clusters))
    share = sum(points) / len(points)
    interval = wilson(share, effective) if groups >= LEAST_CLUSTERS else Interval(None, None)
    ties = sum(point == 0.5 for point in points)
    return Accuracy(share, interval.low, interval.high, len(points), ties, groups, effective)


def pair_score(task: Task, found: Sequence[Item], own: Sequence[Scored], before: Sequence[Scored]) -> PairScore:
    """The figures of one task from the scores of its items."""
    equal = [index for index, (good, bad) in enumerate(own) if good.bytes == bad.bytes]
    clusters = [item.cluster for item in found]
    headline = accuracy([summed(own[index]) for index in equal], [clusters[index] for index in equal])
    baselines = _baselines([own[index] for index in equal], [before[index] for index in equal])
    best = max(value for value in dataclasses.astuple(baselines) if value is not None)
    return PairScore(
        language=task.language,
        kind=task.kind,
        headline=headline,
        all=accuracy([summed(pair) for pair in own], clusters),
        per_byte=accuracy([per_byte(pair) for pair in own], clusters),
        baselines=baselines,
        baselines_all=_baselines(own, before),
        above_baseline=headline.low > best if headline.low is not None else None,
        written=task.written,
        license=task.license,
        reviewed_by=task.reviewed_by,
        items_sha256=items_sha256(task),
    )


def write_items(path: Path, found: Sequence[Item], own: Sequence[Scored], before: Sequence[Scored]) -> None:
    """One JSON line per item: sizes, both models' log2-probabilities, and the points it earned."""
    lines = []
    for item, pair, first in zip(found, own, before, strict=True):
        good, bad = pair
        record = {
            "id": item.id,
            "cluster": item.cluster,
            "good_bytes": good.bytes,
            "bad_bytes": bad.bytes,
            "good_tokens": good.tokens,
            "bad_tokens": bad.tokens,
            "good_log2_probability": good.log2_probability,
            "bad_log2_probability": bad.log2_probability,
            "summed": summed(pair),
            "per_byte": per_byte(pair),
            "untrained_good_log2_probability": first[0].log2_probability,
            "untrained_bad_log2_probability": first[1].log2_probability,
            "untrained_summed": summed(first),
        }
        lines.append(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(path, "".join(lines))


def _baselines(own: Sequence[Scored], before: Sequence[Scored]) -> Baselines:
    if not own:
        return Baselines(0.5, None, None, None)
    return Baselines(
        uniform=0.5,
        shortest=sum(map(shortest, own)) / len(own),
        untrained=sum(map(summed, before)) / len(before),
        fewest_tokens=sum(map(fewest_tokens, own)) / len(own),
    )


def _point(good: float, bad: float) -> float:
    return 1.0 if good > bad else 0.5 if good == bad else 0.0
