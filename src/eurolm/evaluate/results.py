"""What `results.json` holds: the schema, as dataclasses, and the ways between them, JSON and JSON Schema.

A figure that was not measured is null and `notes` says why. Every interval is a 95 % one. The per-item outputs stand
in `items-<task>.jsonl`, the per-document ones in `documents-<language>.jsonl`, what each piece took in `units/`, when
and on which host in `manifest.json`; so the same weights, items and device give the same bytes here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import read_json, write_json
from eurolm.artifacts.hashing import sha256_json
from eurolm.errors import InputError

RECIPE = 3
"""Raised when the same model and text score differently; here, where looking it up loads no torch."""
SCHEMA = 2
RESULTS = "results.json"


@dataclass(frozen=True)
class Rows:
    """Bits per byte to read the model's against, on the same documents."""

    untrained: float | None
    """The model before its first step: rebuilt from its seed, or loaded where training continued one; null for a model
    without a run."""
    uniform: float
    """Every token of the vocabulary equally likely: log2(vocabulary) × tokens / bytes."""
    ngram_3: float | None
    """Character 3-gram model, interpolated Kneser–Ney, from the same training text; null where not asked for."""
    ngram_5: float | None
    """Character 5-gram model of the same kind."""
    ngrams: dict[str, float]
    """Bits per byte of every order in `evaluate.ngram_orders`."""


@dataclass(frozen=True)
class LanguageScore:
    """Bits per byte of the held-out text of one language."""

    value: float
    low: float | None
    high: float | None
    """95 % interval over `clusters` by jackknife; null below 10 of them."""
    documents: int
    bytes: int
    tokens: int
    clusters: int
    """Groups (book, sitting, …) the documents come from; a document without group is its own."""
    rows: Rows
    sources: dict[str, float]
    """Bits per byte of each source's documents."""


@dataclass(frozen=True)
class Figure:
    """A score with its interval."""

    value: float | None
    """Null without items."""
    low: float | None
    high: float | None
    """Null below 10 clusters."""
    items: int
    clusters: int
    """Documents the items come from."""
    effective_items: float | None
    """Independent items that would tell as much; null where the figure is no share of items."""


@dataclass(frozen=True)
class Score:
    """One metric of a task beside what needs no knowledge of the language."""

    figure: Figure
    better: str
    """`higher` or `lower`."""
    baselines: dict[str, float]
    """By name: uniform, majority, shortest, longest, fewest_tokens, copy, untrained; those that mean something here."""
    best_baseline: str | None
    above_baseline: bool | None
    """The interval lies beyond the best of the baselines; null without interval or baseline."""


@dataclass(frozen=True)
class Spread:
    """How much a score owes to the wording of its prompt."""

    template: str
    """The template reported."""
    values: dict[str, float | None]
    """The headline metric by template."""
    standard_deviation: float | None
    """Of the values, with n − 1; null for a single template."""


@dataclass(frozen=True)
class Contamination:
    """The headline with and without the items that the corpus stage found in the training text."""

    hits: int
    """Items found in the training text before it was cleaned, with a long passage or whole."""
    unchecked: int
    """Items too short to be sought, or of another file than the one whose items were sought."""
    without: Figure
    """Without the hits."""
    only: Figure
    """The hits alone."""


@dataclass(frozen=True)
class Calibration:
    """Does a model that is sure of 80 % answer 80 % right? Softmax over the choices' log-probabilities."""

    ece: float
    """Expected calibration error over ten bins of equal width (Guo et al. 2017), items by confidence."""
    bins: list[dict[str, float]]
    """Bins with items: `confidence` and `accuracy` (means), `items`."""


@dataclass(frozen=True)
class Counts:
    """What did not go as usual; a score is never silent about it."""

    items: int
    """Scored."""
    left_out: int
    """Logits of inf or NaN: no score, not part of any figure."""
    truncated: int
    """Prompts longer than the model's context, cut on the left."""
    ties: int
    """Two choices equally probable: half a point in pairs, the first choice elsewhere."""


@dataclass(frozen=True)
class TaskScore:
    """One task."""

    language: str
    kind: str
    headline: str
    """Which of `scores` stands for the task."""
    scores: dict[str, Score]
    """By metric, of the reported template."""
    spread: Spread | None
    """Null for kinds without prompt."""
    groups: dict[str, Figure]
    """The headline by part of the task, such as a subject; empty where the task names none."""
    calibration: Calibration | None
    contamination: Contamination | None
    """Null where there is no corpus, or its stage did not look for this task; `notes` says which."""
    counts: Counts
    shots: int
    written: str
    license: str
    reviewed_by: str | None
    items_sha256: str
    """Of the file that the items were read from."""
    scored_sha256: str
    """Of the ids that were scored: `--limit` scores fewer."""
    prompts_sha256: str
    """Of everything the model was shown, all templates."""
    items_file: str


@dataclass(frozen=True)
class Macro:
    """Mean of the headlines of a language's tasks, those between 0 and 1 of which more is better."""

    value: float
    low: float | None
    high: float | None
    tasks: list[str]
    not_counted: list[str]
    """Tasks of the language that are no share (bits per byte) or have no value."""


@dataclass(frozen=True)
class Settings:
    """What the figures depend on besides model and items."""

    window_tokens: int | None
    stride_tokens: int | None
    bos_policy: str
    """Bits per byte; null for a model behind a server."""
    opening: str
    """What stands before the texts of all other tasks."""
    heldout_max_bytes: int
    limit: int | None
    """Items per task; null for all."""
    chat: bool
    """Prompts were put as conversations, by the model's chat template."""
    backend: str
    """Who scored the tasks: `eurolm`, `lm-eval`, or `endpoint` for a model behind a server."""
    seed: int
    dtype: str
    device: str
    device_name: str
    attention: str
    batch_tokens: int | None
    threads: int | None
    versions: dict[str, str | None]


@dataclass(frozen=True)
class Results:
    """Everything an evaluation found."""

    schema: int
    suite: str | None
    model_sha256: str | None
    """Of weights and config; null for a model behind a server, of which neither these nor the next two are known."""
    tokenizer_sha256: str | None
    parameters: int | None
    step: int | None
    """Checkpoint; null for a finished or foreign model."""
    bits_per_byte: dict[str, LanguageScore]
    tasks: dict[str, TaskScore]
    macro: dict[str, Macro]
    """By language."""
    settings: Settings
    notes: list[str]
    """What a reader must know: text cut, rows not measured, items left out."""


def write_results(directory: Path, results: Results) -> dict[str, Any]:
    """Write `results.json` atomically and return it as plain JSON values."""
    value = dataclasses.asdict(results)
    write_json(directory / RESULTS, value)
    return value


def read_results(directory: Path) -> dict[str, Any]:
    """`results.json` as plain JSON values. Raises InputError where it is missing or of another schema."""
    try:
        value: dict[str, Any] = read_json(directory / RESULTS)
    except (FileNotFoundError, ValueError) as error:
        raise InputError(f"{directory / RESULTS} cannot be read: {error}. Run the evaluate stage again.") from None
    if value.get("schema") != SCHEMA:
        raise InputError(
            f"{directory / RESULTS} has schema {value.get('schema')}, this eurolm reads {SCHEMA}. "
            "Use the eurolm that wrote it, or evaluate again."
        )
    return value


def scores_sha256(results: dict[str, Any]) -> str:
    """Hash of everything in `results.json`: the same for the same model, items and device, however often killed."""
    return sha256_json(results)


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `results.json`."""
    from pydantic import TypeAdapter

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TypeAdapter(Results).json_schema()}
