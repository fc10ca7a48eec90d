"""The evaluate stage: scores a model on held-out text and tasks, and everything needed to judge the scores.

The trained model goes first, so that a stop leaves the figures that matter; each model's weights are loaded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import read_json
from eurolm.artifacts.hashing import content_hash, sha256_file
from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.corpus.documents import languages, shards
from eurolm.corpus.forget import Forgotten
from eurolm.errors import ConfigError, InputError
from eurolm.evaluate.pairs import Scored, model_pairs, pair_score, write_items
from eurolm.evaluate.results import SCHEMA, LanguageScore, PairScore, Results, Settings, write_results
from eurolm.evaluate.subject import (
    Device,
    Subject,
    choose_device,
    one_thread_per_worker,
    parameter_count,
    trained,
    untrained,
)
from eurolm.evaluate.summary import notes, tell
from eurolm.evaluate.text import HeldoutText, choose_text, language_score, model_bits, ngram_bits, write_documents
from eurolm.evaluate.units import Units
from eurolm.machine.host import versions
from eurolm.scoring.bits_per_byte import BOS_POLICY
from eurolm.tasks.items import Item, items
from eurolm.tasks.load import Task, load_task
from eurolm.tokenizer.load import LoadedTokenizer, load

LIBRARIES: tuple[str, ...] = ("tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Plan:
    """All that is scored, read and checked before the first model is loaded."""

    config: Config
    tokenizer: LoadedTokenizer
    texts: list[HeldoutText]
    tasks: list[tuple[Task, list[Item]]]
    window: int
    stride: int
    units: Units
    reporter: Reporter


@dataclass(frozen=True)
class ModelScores:
    """What one model scored: (bits, tokens) per document by language, both sides per item by task."""

    text: dict[str, list[tuple[float, int]]]
    pairs: dict[str, list[Scored]]


def run_evaluation(
    config: Config, model: Path, corpus: Path | None, run_dir: Path, reporter: Reporter
) -> dict[str, Any]:
    """Score the model directory `model` and write `results.json`, `items-*.jsonl`, `documents-*.jsonl` into
    `run_dir/evaluation`. Finished units of an earlier attempt are reused. Returns the results as plain JSON values.

    Raises ConfigError for an unknown task or an impossible window, InputError for damaged items or a corpus without
    held-out text, NumericsError for a model whose log-probabilities are not finite.
    """
    place = run_dir / "evaluation"
    place.mkdir(parents=True, exist_ok=True)
    units = Units(place / "units")
    units.sweep()
    device = choose_device()
    tokenizer = load(model)
    subject, start = trained(model, tokenizer, device), untrained(config.model, tokenizer, device)
    plan = _plan(config, tokenizer, corpus, units, reporter)
    _check_context(plan.window, model)
    with one_thread_per_worker():
        own = _score(subject, "trained", plan.stride, plan)
        # Random weights make nothing of context: windows without overlap give the same figure in half the time.
        before = _score(start, "untrained", plan.stride if config.model.use else plan.window, plan)
        counted = _count(corpus, plan)
        settings = _settings(plan, device)
    results = Results(
        schema=SCHEMA,
        model_sha256=subject.identity,
        tokenizer_sha256=tokenizer.sha256,
        parameters=parameter_count(model),
        bits_per_byte=_languages(place, plan, own, before, counted),
        tasks=_tasks(place, plan, own, before),
        settings=settings,
        notes=notes(config, plan.texts, [task for task, _ in plan.tasks], counted),
    )
    tell(results, reporter)
    return write_results(place, results)


def _plan(config: Config, tokenizer: LoadedTokenizer, corpus: Path | None, units: Units, reporter: Reporter) -> Plan:
    window = window_tokens(config)
    stride = config.evaluate.stride_tokens or max(1, window // 2)
    if stride > window:
        raise ConfigError(f"evaluate.stride_tokens = {stride} is longer than the window of {window} tokens.")
    tasks = [(task, items(task)) for task in map(load_task, config.evaluate.tasks)]
    limit = config.evaluate.heldout_max_bytes
    forgotten = Forgotten.load(config.corpus.forget)
    texts = [choose_text(corpus, language, limit, forgotten) for language in languages(corpus)] if corpus else []
    if corpus and not any(text.documents for text in texts):
        raise InputError(
            f"{corpus} has no held-out text, so there is nothing to measure bits per byte on. "
            "Raise corpus.heldout.share, or add documents of more groups."
        )
    return Plan(config, tokenizer, texts, tasks, window, stride, units, reporter)


def _check_context(window: int, model: Path) -> None:
    declared = read_json(model / "config.json").get("max_position_embeddings")
    if declared is not None and window > declared:
        raise ConfigError(
            f"the evaluation window of {window} tokens is longer than the context of {declared} tokens that {model} "
            "declares. Set evaluate.context_tokens to that or less."
        )


def window_tokens(config: Config) -> int:
    """`evaluate.context_tokens`, else the row length of the last phase, else the context the model declares."""
    if config.evaluate.context_tokens is not None:
        return config.evaluate.context_tokens
    if config.mixture.phases:
        return config.mixture.phases[-1].row_tokens
    return config.model.max_position_tokens


def _score(subject: Subject, role: str, stride: int, plan: Plan) -> ModelScores:
    batch, units, reporter = plan.config.evaluate.batch_tokens, plan.units, plan.reporter
    text = {
        entry.language: model_bits(subject, entry, plan.window, stride, batch, units, role, reporter)
        for entry in plan.texts
        if entry.documents
    }
    pairs = {task.name: model_pairs(subject, task, found, batch, units, role, reporter) for task, found in plan.tasks}
    subject.release()
    return ModelScores(text, pairs)


def _count(corpus: Path | None, plan: Plan) -> dict[str, dict[str, Any]]:
    """N-gram scores by language."""
    if corpus is None:
        return {}
    identity = content_hash({str(path.relative_to(corpus)): sha256_file(path) for path in shards(corpus)})
    return {
        text.language: ngram_bits(corpus, identity, text, plan.config.evaluate, plan.units, plan.reporter)
        for text in plan.texts
        if text.documents
    }


def _languages(
    place: Path, plan: Plan, own: ModelScores, before: ModelScores, counted: dict[str, dict[str, Any]]
) -> dict[str, LanguageScore]:
    found = {}
    for text in plan.texts:
        if not text.documents:
            continue
        name = text.language
        parts = (text, own.text[name], before.text[name], counted[name])
        found[name] = language_score(*parts, plan.tokenizer.vocab_size, plan.config.evaluate)
        write_documents(place / f"documents-{name}.jsonl", *parts)
    return found


def _tasks(place: Path, plan: Plan, own: ModelScores, before: ModelScores) -> dict[str, PairScore]:
    found = {}
    for task, entries in plan.tasks:
        parts = (entries, own.pairs[task.name], before.pairs[task.name])
        found[task.name] = pair_score(task, *parts)
        write_items(place / f"items-{task.name}.jsonl", *parts)
    return found


def _settings(plan: Plan, device: Device) -> Settings:
    return Settings(
        window_tokens=plan.window,
        stride_tokens=plan.stride,
        bos_policy=BOS_POLICY,
        heldout_max_bytes=plan.config.evaluate.heldout_max_bytes,
        bootstrap_samples=plan.config.evaluate.bootstrap_samples,
        seed=plan.config.evaluate.seed,
        dtype=device.dtype_name,
        device=device.device.type,
        device_name=device.name,
        attention="sdpa",
        batch_tokens=plan.config.evaluate.batch_tokens,
        threads=device.workers,
        versions=versions(("eurolm", *LIBRARIES)),
    )
