"""What `evaluation/results.json` holds: the schema, as dataclasses, and the two ways between them and JSON.

A figure that was not measured is null and `notes` says why. Every interval is a 95 % one. The per-item outputs stand
in `items-<task>.jsonl`, the per-document ones in `documents-<language>.jsonl`, the time each piece took in `units/`;
so the same weights and text give the same bytes here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import read_json, write_json
from eurolm.errors import InputError

RECIPE = 1
"""Raised when the same model and text score differently; here, where looking it up loads no torch."""
SCHEMA = 1
RESULTS = "results.json"


@dataclass(frozen=True)
class Rows:
    """Bits per byte to read the model's against, on the same documents."""

    untrained: float
    """The model before its first step: rebuilt from its seed, or loaded where training continued one."""
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
    """95 % interval by cluster bootstrap over `clusters`; null below 10 of them."""
    documents: int
    bytes: int
    tokens: int
    clusters: int
    """Groups (book, sitting, …) the documents come from; a document without group is its own."""
    rows: Rows
    sources: dict[str, float]
    """Bits per byte of each source's documents."""


@dataclass(frozen=True)
class Accuracy:
    """Share of pairs whose good side the model prefers; a tie counts half."""

    value: float | None
    low: float | None
    high: float | None
    """Wilson interval at `effective_items`; null below 10 clusters."""
    items: int
    ties: int
    clusters: int
    """Documents the items come from."""
    effective_items: float
    """Independent items that would tell as much: items / design effect of the clusters."""


@dataclass(frozen=True)
class Baselines:
    """Accuracies without knowing the language."""

    uniform: float
    shortest: float | None
    """Taking the side with fewer UTF-8 bytes; a tie counts half."""
    untrained: float | None
    """The model before its first step."""
    fewest_tokens: float | None = None
    """Taking the side this model's tokenizer cuts into fewer tokens; a tie counts half. Equal bytes do not mean equal
    tokens, and a rare word form has more of them."""


@dataclass(frozen=True)
class PairScore:
    """One minimal-pair task. Native, translated or generated; where the items came from; who read them."""

    language: str
    kind: str
    headline: Accuracy
    """Summed log-probability, pairs of equal UTF-8 byte length: length cannot help there."""
    all: Accuracy
    """Summed log-probability, all pairs."""
    per_byte: Accuracy
    """Log-probability per byte, all pairs."""
    baselines: Baselines
    """On the headline's pairs."""
    baselines_all: Baselines
    """On all pairs."""
    above_baseline: bool | None
    """The headline's interval lies above the best of its baselines."""
    written: str
    license: str
    reviewed_by: str | None
    items_sha256: str


@dataclass(frozen=True)
class Settings:
    """What the figures depend on besides model and text."""

    window_tokens: int
    stride_tokens: int
    bos_policy: str
    heldout_max_bytes: int
    bootstrap_samples: int
    seed: int
    dtype: str
    device: str
    device_name: str
    attention: str
    batch_tokens: int
    threads: int
    versions: dict[str, str | None]


@dataclass(frozen=True)
class Results:
    """Everything an evaluation found."""

    schema: int
    model_sha256: str
    tokenizer_sha256: str
    parameters: int
    bits_per_byte: dict[str, LanguageScore]
    tasks: dict[str, PairScore]
    settings: Settings
    notes: list[str]
    """What a reader must know: text cut, rows not measured, items left out."""


def write_results(directory: Path, results: Results) -> dict[str, Any]:
    """Write `results.json` atomically and return it as plain JSON values."""
    value = dataclasses.asdict(results)
    write_json(directory / RESULTS, value)
    return value


def read_results(directory: Path) -> dict[str, Any]:
    """`results.json` as plain JSON values. Raises InputError where it is missing or of a newer schema."""
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
