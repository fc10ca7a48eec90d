"""The evaluate stage: scores a model on held-out text and tasks, and everything needed to judge the scores.

The model itself goes first, so that a stop leaves the figures that matter; each model's weights are loaded once.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from math import log2
from pathlib import Path
from typing import Any

from eurolm import __version__
from eurolm.artifacts.atomic import write_json
from eurolm.artifacts.hashing import content_hash, sha256_file
from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.corpus.documents import shards
from eurolm.evaluate.answers import Answer, Question, Scoring, answers, batch_size
from eurolm.evaluate.request import Backend, Material, Request, gather, of_run
from eurolm.evaluate.results import SCHEMA, LanguageScore, Results, Settings, TaskScore, scores_sha256, write_results
from eurolm.evaluate.subject import (
    Subject,
    choose_device,
    one_thread_per_worker,
    parameter_count,
    trained,
    untrained,
)
from eurolm.evaluate.summary import notes, tell
from eurolm.evaluate.task_score import macro, task_score, write_items
from eurolm.evaluate.text import language_score, model_bits, ngram_bits, write_documents
from eurolm.evaluate.units import Units
from eurolm.machine.host import versions
from eurolm.scoring.bits_per_byte import BOS_POLICY
from eurolm.tasks.description import WRITTEN_BY_MODEL
from eurolm.tokenizer.load import LoadedTokenizer, load

LIBRARIES = ("tokenizers", "torch", "transformers", "sacrebleu")
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ModelScores:
    """What one model gave: (bits, tokens) per document by language, answers by task and template."""

    text: dict[str, list[tuple[float, int]]]
    tasks: dict[str, dict[str, list[Answer]]]


def run_evaluation(
    config: Config, model: Path, corpus: Path | None, run_dir: Path, reporter: Reporter
) -> dict[str, Any]:
    """The stage of a run: its finished model, the model before its first step, n-gram models of the same text."""
    return evaluate(of_run(config, model, corpus, run_dir), reporter)


def evaluate(request: Request, reporter: Reporter) -> dict[str, Any]:
    """Score what is asked and write `results.json`, `items-*.jsonl`, `documents-*.jsonl` and `manifest.json` into the
    request's place. Finished units of an earlier attempt are reused. Returns the results as plain JSON values.

    Raises ConfigError for an unknown task or an impossible window, InputError for damaged items, a corpus without
    held-out text or a directory without a model, NumericsError for a model whose log-probabilities are not finite.
    """
    started = datetime.now(UTC)
    units = Units(request.place / "units", request.ranks)
    request.ranks.from_first(lambda: _open(request.place, units))
    tokenizer, device = load(request.model), choose_device(request.config.dtype)
    subject = trained(request.model, tokenizer, device)
    start = untrained(request.start, tokenizer, device, subject.opening) if request.start is not None else None
    material = gather(request)
    with one_thread_per_worker():
        own, how = _score(subject, "trained", material.stride, request, material, units, reporter)
        before = None
        if start is not None and request.start is not None:
            # Random weights make nothing of context: windows without overlap give the same figure in half the time.
            stride = material.stride if request.start.use else request.window
            before, _ = _score(start, "untrained", stride, request, material, units, reporter)
        counted = _count(request, material, units, reporter)
    value: dict[str, Any] = request.ranks.from_first(
        lambda: _conclude(request, material, subject, how, (own, before, counted), started, units, reporter)
    )
    return value


def _open(place: Path, units: Units) -> None:
    units.directory.mkdir(parents=True, exist_ok=True)
    units.sweep()


def _score(
    subject: Subject, role: str, stride: int, request: Request, material: Material, units: Units, reporter: Reporter
) -> tuple[ModelScores, Scoring]:
    ranks = request.ranks
    batch = request.config.batch_tokens or batch_size(subject, role, units, ranks)
    how = Scoring(units, request.window, stride, batch, request.chat, reporter, ranks)
    text = {
        entry.language: model_bits(subject, entry, request.window, stride, batch, units, role, reporter)
        for entry in material.texts
        if entry.documents
    }
    tasks = _answers(subject, role, request.backend, _questions(material, role), how)
    subject.release()
    return ModelScores(text, tasks), how


def _questions(material: Material, role: str) -> list[Question]:
    """The model before its first step is a baseline: it is asked in one wording, and writes nothing."""
    return [
        Question(asked.task, name, prompts)
        for asked in material.tasks
        if role == "trained" or asked.task.kind not in WRITTEN_BY_MODEL
        for name, prompts in asked.prompts.items()
        if role == "trained" or name == asked.template
    ]


def _answers(
    subject: Subject, role: str, backend: Backend, questions: list[Question], how: Scoring
) -> dict[str, dict[str, list[Answer]]]:
    """By task and template. The harness scores finished models only; a seed is always scored by eurolm."""
    if backend == "lm-eval" and role == "trained":
        from eurolm.evaluate.harness import harness

        found = harness(subject, questions, how)
    else:
        found = [answers(subject, role, question, how) for question in questions]
    tasks: dict[str, dict[str, list[Answer]]] = {}
    for question, given in zip(questions, found, strict=True):
        tasks.setdefault(question.task.name, {})[question.template] = given
    return tasks


def _count(request: Request, material: Material, units: Units, reporter: Reporter) -> dict[str, dict[str, Any]]:
    """N-gram scores by language."""
    corpus = request.corpus
    if corpus is None or not request.heldout:
        return {}
    identity = content_hash({str(path.relative_to(corpus)): sha256_file(path) for path in shards(corpus)})
    return {
        text.language: ngram_bits(corpus, identity, text, request.config, units, reporter)
        for text in material.texts
        if text.documents
    }


Scored = tuple[ModelScores, ModelScores | None, dict[str, dict[str, Any]]]
"""Of the model, of the model before its first step, of n-gram models."""


def _conclude(
    request: Request,
    material: Material,
    subject: Subject,
    how: Scoring,
    scored: Scored,
    started: datetime,
    units: Units,
    reporter: Reporter,
) -> dict[str, Any]:
    tasks = _tasks(request, material, subject.tokenizer, scored)
    results = Results(
        schema=SCHEMA,
        suite=request.config.suite,
        model_sha256=subject.identity,
        tokenizer_sha256=subject.tokenizer.sha256,
        parameters=parameter_count(request.model),
        step=request.step,
        bits_per_byte=_languages(request, material, subject.tokenizer, scored),
        tasks=tasks,
        macro=macro(tasks),
        settings=_settings(request, how, subject),
        notes=notes(request, material, tasks, scored[2]),
    )
    value = write_results(request.place, results)
    write_json(
        request.place / MANIFEST,
        {
            "scores_sha256": scores_sha256(value),
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "ranks": request.ranks.count,
            "eurolm": __version__,
            "model": str(request.model.resolve()),
            "unit_seconds": units.seconds(),
        },
    )
    tell(results, reporter)  # last: nobody may be listening any more, and then it raises
    return value


def _languages(
    request: Request, material: Material, tokenizer: LoadedTokenizer, scored: Scored
) -> dict[str, LanguageScore]:
    own, before, counted = scored
    found = {}
    for text in material.texts:
        if text.documents:
            name = text.language
            parts = (text, own.text[name], before.text[name] if before else None, counted[name])
            found[name] = language_score(*parts, tokenizer.vocab_size)
            write_documents(request.place / f"documents-{name}.jsonl", *parts)
    return found


def _tasks(request: Request, material: Material, tokenizer: LoadedTokenizer, scored: Scored) -> dict[str, TaskScore]:
    own, before, _ = scored
    found = {}
    for asked in material.tasks:
        first = before.tasks[asked.name][asked.template] if before and asked.name in before.tasks else None
        score, judged = task_score(asked, own.tasks[asked.name], first, log2(tokenizer.vocab_size), material.hits)
        found[asked.name] = score
        write_items(request.place / f"items-{asked.name}.jsonl", judged, material.hits, asked.name)
    return found


def _settings(request: Request, how: Scoring, subject: Subject) -> Settings:
    config, device = request.config, subject.device
    return Settings(
        window_tokens=how.window,
        stride_tokens=how.stride,
        bos_policy=BOS_POLICY,
        opening=subject.opening.said(),
        heldout_max_bytes=config.heldout_max_bytes,
        limit=config.limit,
        chat=request.chat,
        backend=request.backend,
        seed=config.seed,
        dtype=device.dtype_name,
        device=device.device.type,
        device_name=device.name,
        attention="sdpa",
        batch_tokens=how.batch_tokens,
        threads=device.workers,
        versions=versions(("eurolm", *LIBRARIES)),
    )
