"""Prompts put to lm-evaluation-harness, its answers in eurolm's form: the backend behind `--backend lm-eval`.

The prompts are exported as `eurolm tasks export` writes them, so the harness sees the strings eurolm's scorer sees. It
says nothing of tokens: those are counted here, cut as it cuts them. Its bits per byte read a text in windows of the
model's whole context that do not overlap, so they equal eurolm's only where a text fits eurolm's window.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

from eurolm.errors import InputError
from eurolm.evaluate.answers import Answer, Question
from eurolm.evaluate.lm_eval import HarnessItem, HarnessJob, run_harness
from eurolm.evaluate.subject import Subject
from eurolm.scoring.choices import Continuation
from eurolm.scoring.encoding import declared_context, encode_contexts, encode_requests
from eurolm.tasks.export import export_prompts
from eurolm.tasks.prompts import Prompt

BATCH = 16
"""Requests per forward pass of the harness, which holds all logits of a batch."""

UNCONDITIONAL = "unconditional"


def harness_answers(subject: Subject, questions: Sequence[Question], special: bool = False) -> list[list[Answer]]:
    """The harness's answers to each question, in order; one process for all, because it takes long to start.

    `special` as for `score_continuations`. Raises InputError for a subject without a model directory, MachineError
    where the harness is missing or fails.
    """
    if not isinstance(subject.source, Path):
        raise InputError("lm-evaluation-harness scores model directories; this model exists only as a seed.")
    model = subject.source.resolve()
    with tempfile.TemporaryDirectory(prefix="eurolm-tasks-") as name:
        place = Path(name)
        names = [written for question in questions for written in _export(place, question)]
        texts = tuple(question.name for question in questions if question.task.kind == "bits_per_byte")
        device = subject.device
        job = HarnessJob(str(model), name, tuple(names), device.dtype_name, str(device.device), BATCH, texts)
        found = run_harness(job)
    limit = declared_context(model)
    return [
        [
            _answer(subject, prompt, item, alone, special, limit)
            for prompt, item, alone in zip(
                question.prompts,
                found[question.name].items,
                _unconditional(question, {name: task.items for name, task in found.items()}),
                strict=True,
            )
        ]
        for question in questions
    ]


def _export(place: Path, question: Question) -> list[str]:
    """Write the question and, where choices are also scored without it, a second task of those; their names."""
    made_with = {"template": question.template}
    names = [export_prompts(place, question.task, question.name, question.prompts, made_with).name]
    alone = [
        Prompt(**{**vars(prompt), "context": prompt.unconditional})
        for prompt in question.prompts
        if prompt.unconditional is not None
    ]
    if alone:
        names.append(export_prompts(place, question.task, f"{question.name}-{UNCONDITIONAL}", alone, made_with).name)
    return names


def _unconditional(question: Question, found: dict[str, tuple[HarnessItem, ...]]) -> list[HarnessItem | None]:
    scored = iter(found.get(f"{question.name}-{UNCONDITIONAL}", ()))
    return [next(scored) if prompt.unconditional is not None else None for prompt in question.prompts]


def _answer(
    subject: Subject, prompt: Prompt, item: HarnessItem, alone: HarnessItem | None, special: bool, limit: int | None
) -> Answer:
    tokenizer, opens = subject.tokenizer, subject.opening
    if item.text is not None:
        room = limit - prompt.max_new_tokens if limit is not None else None
        _, cut = encode_contexts(tokenizer, [prompt.context], opens, special, room)
        return Answer((), (len(tokenizer.encode(item.text)),), (), item.text, cut[0], True)
    bits, unconditional = _bits(item), _bits(alone) if alone is not None else ()
    finite = None not in (*bits, *unconditional)
    requests = [Continuation(prompt.context, choice) for choice in prompt.choices]
    texts, lost = encode_requests(tokenizer, requests, opens, special, limit)
    return Answer(
        bits=tuple(value for value in bits if value is not None),
        tokens=tuple(text.scored for text in texts),
        unconditional=tuple(value for value in unconditional if value is not None),
        text=None,
        truncated=max(lost),
        finite=finite,
    )


def _bits(item: HarnessItem) -> tuple[float | None, ...]:
    return tuple(None if value is None else value / math.log(2) for value in item.log_probabilities)
