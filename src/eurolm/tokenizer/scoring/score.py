"""The whole comparison: every tokenizer on every language, parity, boundaries; as one record that is also the JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eurolm.console import Reporter
from eurolm.errors import InputError
from eurolm.tokenizer.scoring.boundaries import Boundaries, Segmentation, score_boundaries
from eurolm.tokenizer.scoring.candidates import Candidate
from eurolm.tokenizer.scoring.intervals import LEAST_GROUPS, SAMPLES, SEED, Figure
from eurolm.tokenizer.scoring.metrics import DEFINITIONS, Encoded, language_figures
from eurolm.tokenizer.scoring.parity import Parity, parity
from eurolm.tokenizer.scoring.texts import Parallel, Texts

SCHEMA = 1


@dataclass(frozen=True)
class TokenizerFacts:
    """One tokenizer. `mb_per_cpu_s` is measured once on a machine that may be busy: a rough order, no more."""

    name: str
    kind: str
    path: str
    sha256: str
    vocab_size: int
    mb_per_cpu_s: float | None
    texts_lost: dict[str, int]
    """Documents per language whose tokens do not spell them exactly; where there are any, its figures flatter it."""


@dataclass(frozen=True)
class TextFacts:
    """What a language's figures were measured on."""

    files: list[str]
    documents: int
    groups: int
    """What the intervals draw; below 10 there are none."""
    bytes: int
    characters: int
    words: int
    cut: bool
    """Only the first 10 MB of it were read."""


@dataclass(frozen=True)
class ParallelFacts:
    """The parallel text."""

    files: list[str]
    languages: list[str]
    rows: int
    groups: int
    incomplete: int


@dataclass(frozen=True)
class SegmentationFacts:
    """Gold boundaries of one language: how many words were given, and how many are concatenative and judged."""

    file: str
    given: int
    judged: int
    coverage: float


@dataclass(frozen=True)
class Scores:
    """Everything `eurolm tokenizer score` found. Written as JSON field by field; `schema` counts changes of it.

    A `Figure` is `{value, low, high, difference, difference_low, difference_high, beyond}`: 95 % interval by bootstrap
    over groups of documents (of words, for boundaries), difference to the first tokenizer on the same draws.
    """

    tokenizers: list[TokenizerFacts]
    texts: dict[str, TextFacts]
    figures: dict[str, dict[str, dict[str, Figure]]]
    """language → tokenizer → metric; what each metric is stands in `definitions`."""
    parallel: ParallelFacts | None = None
    parity: dict[str, Parity] = field(default_factory=dict)
    """tokenizer → parity."""
    segmentations: dict[str, SegmentationFacts] = field(default_factory=dict)
    boundaries: dict[str, dict[str, Boundaries]] = field(default_factory=dict)
    """language → tokenizer."""
    trial: dict[str, Any] | None = None
    """Models trained on each tokenizer, see `eurolm.evaluate.tokenizer_trial`; null unless asked for."""
    warnings: list[str] = field(default_factory=list)
    bootstrap_samples: int = SAMPLES
    seed: int = SEED
    definitions: dict[str, str] = field(default_factory=lambda: dict(DEFINITIONS))
    schema: int = SCHEMA

    def with_trial(self, trial: dict[str, Any]) -> Scores:
        """The same with the trained models' figures."""
        return dataclasses.replace(self, trial=trial)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def score(
    candidates: Sequence[Candidate],
    texts: dict[str, Texts],
    parallel: Parallel | None,
    segmentations: Sequence[Segmentation],
    frequent: dict[str, list[str]],
    reporter: Reporter,
) -> Scores:
    """Score all tokenizers on all text given. `frequent`: most frequent words per language where the user has a list.

    Raises InputError for a tokenizer that turns a language's text into nothing; of what it loses else is warned.
    """
    figures: dict[str, dict[str, dict[str, Figure]]] = {}
    encoded: dict[str, list[Encoded]] = {}
    facts: dict[str, TextFacts] = {}
    with reporter.task("score", sum(text.bytes for text in texts.values()), "bytes") as task:
        for code, text in texts.items():
            figures[code], encoded[code], sums = language_figures(candidates, text, frequent.get(code))
            totals = sums.totals
            facts[code] = TextFacts(
                text.files, len(text.texts), sums.groups, text.bytes, int(totals["characters"]), int(totals["words"]),
                text.full,
            )  # fmt: skip
            task.advance(text.bytes)
    scores = Scores(
        tokenizers=[_facts(number, candidate, texts, encoded) for number, candidate in enumerate(candidates)],
        texts=facts,
        figures=figures,
        parallel=_parallel_facts(parallel),
        parity=parity(candidates, parallel) if parallel else {},
        segmentations={one.language: _segmentation_facts(one) for one in segmentations},
        boundaries={one.language: score_boundaries(candidates, one) for one in segmentations},
    )
    scores.warnings.extend(_warnings(scores))
    for warning in scores.warnings:
        reporter.warn(warning)
    return scores


def _facts(
    number: int, candidate: Candidate, texts: dict[str, Texts], encoded: dict[str, list[Encoded]]
) -> TokenizerFacts:
    for code in texts:
        if not len(encoded[code][number].ids):
            raise InputError(f"{candidate.path} turns all {code} text into no tokens: it is broken or was misread.")
    cpu_s = sum(own[number].cpu_s for own in encoded.values())
    return TokenizerFacts(
        candidate.name,
        candidate.kind,
        candidate.path,
        candidate.sha256,
        candidate.vocab_size,
        sum(text.bytes for text in texts.values()) / 1e6 / cpu_s if cpu_s > 0 else None,
        {code: len(own[number].lost) for code, own in encoded.items()},
    )


def _parallel_facts(parallel: Parallel | None) -> ParallelFacts | None:
    if parallel is None:
        return None
    groups = parallel.groups
    return ParallelFacts(parallel.files, list(parallel.rows), len(groups), len(set(groups)), parallel.incomplete)


def _segmentation_facts(one: Segmentation) -> SegmentationFacts:
    return SegmentationFacts(one.path, one.given, len(one.gold), one.coverage)


def _warnings(scores: Scores) -> list[str]:
    found = []
    for tokenizer in scores.tokenizers:
        for code, lost in tokenizer.texts_lost.items():
            if not lost:
                continue
            unknown = scores.figures[code][tokenizer.name]["unknown_share"].value or 0.0
            found.append(
                f"{tokenizer.name} does not give back {lost:,} of {scores.texts[code].documents:,} {code} documents "
                f"({100 * unknown:.2f} % of its tokens are unknown): what it lost cost nothing, so its figures flatter."
            )
    for code, text in scores.texts.items():
        if text.cut:
            found.append(f"{code}: only the first {text.bytes / 1e6:.0f} MB of the text were measured.")
        if text.groups < LEAST_GROUPS:
            found.append(f"{code}: {text.groups} groups of documents are fewer than {LEAST_GROUPS}: no intervals.")
    if scores.parallel and scores.parallel.incomplete:
        found.append(f"{scores.parallel.incomplete:,} parallel rows lack a language and were left out.")
    return found
