"""What a model does with the prompts of a task, as finished units: probabilities of choices, or the text it writes.

Answers are kept raw, so that every metric, baseline and test is recomputed from them without the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eurolm.artifacts.hashing import sha256_json
from eurolm.console import Reporter
from eurolm.errors import NumericsError
from eurolm.evaluate.subject import Subject
from eurolm.evaluate.units import Units
from eurolm.scoring.batch_size import automatic_batch_tokens
from eurolm.scoring.bits_per_byte import BOS_POLICY, score_documents
from eurolm.scoring.choices import Continuation, ContinuationScore, Score, score_continuations
from eurolm.scoring.encoding import context_limit
from eurolm.scoring.ranks import ALONE, Ranks
from eurolm.tasks.load import Task
from eurolm.tasks.prompts import Prompt

Advance = Callable[[float], None]
LONGEST_TRIED = 4096
"""Tokens of the texts that a batch size is tried with; longer texts run one at a time."""


@dataclass(frozen=True)
class Question:
    """Prompts of one template of a task."""

    task: Task
    template: str
    prompts: Sequence[Prompt]

    @property
    def name(self) -> str:
        """Task and template, as units are called."""
        return f"{self.task.name}-{self.template}" if self.template else self.task.name


@dataclass(frozen=True)
class Answer:
    """One prompt's answer. Which fields are filled follows from the prompt, as its choices and new tokens do."""

    bits: tuple[float, ...]
    """Log2-probability of each choice, summed over its tokens."""
    tokens: tuple[int, ...]
    """Tokens of each choice."""
    unconditional: tuple[float, ...]
    """Log2-probability of each choice without the question; empty where the prompt names no such context."""
    text: str | None
    """What the model wrote."""
    truncated: int
    """Tokens cut off the prompt's left."""
    finite: bool
    """False where logits held inf or NaN: then there is no answer."""


@dataclass(frozen=True)
class Scoring:
    """How prompts are put to models: what scores depend on beside model and prompts, and what makes them fast."""

    units: Units
    window: int
    stride: int
    """Of bits per byte, in tokens."""
    batch_tokens: int
    """Padded tokens per forward pass."""
    special: bool
    """Prompts hold special tokens that a chat template wrote."""
    reporter: Reporter
    ranks: Ranks = ALONE


def batch_size(subject: Subject, role: str, units: Units, ranks: Ranks) -> int:
    """Padded tokens per forward pass that fit the device, found once per evaluation and taken again when it goes on:
    what shares a batch decides the last bits of a score."""

    def find() -> int:
        longest = min(context_limit(subject.model.config) or LONGEST_TRIED, LONGEST_TRIED)
        return automatic_batch_tokens(subject.model, longest, ranks)

    identity = {"model": subject.identity, "dtype": subject.device.dtype_name, "device": subject.device.name}
    return int(units.value(f"batch-{role}", identity, find))


def prompts_sha256(prompts: Sequence[Prompt]) -> str:
    """Hash of everything the model is shown."""
    return sha256_json([[prompt.context, prompt.choices, prompt.unconditional, prompt.stop] for prompt in prompts])


def answers(subject: Subject, role: str, question: Question, how: Scoring) -> list[Answer]:
    """The answers of a model to all prompts of one template, in their order; a unit.

    Raises NumericsError where not one of them is finite.
    """

    def compute() -> list[dict[str, Any]]:
        with how.reporter.task(f"{question.name}, {role}", 100, "%") as bar:
            found = answer(subject, question, how, lambda share: bar.advance(100 * share))
        return [asdict(given) for given in found]

    stored = how.units.value(f"task-{question.name}-{role}", identity(subject, question, how, "eurolm"), compute)
    return read_answers(question, stored)


def identity(subject: Subject, question: Question, how: Scoring, backend: str) -> dict[str, Any]:
    """All that the answers to a question depend on."""
    found = {
        "model": subject.identity,
        "tokenizer": subject.tokenizer.sha256,
        "kind": question.task.kind,
        "prompts": prompts_sha256(question.prompts),
        "new_tokens": question.task.max_new_tokens,
        "opening": subject.opening.said(),
        "special": how.special,
        "dtype": subject.device.dtype_name,
        "device": subject.device.name,
        "backend": backend,
    }
    if question.task.kind == "bits_per_byte":
        found |= {"window": how.window, "stride": how.stride, "policy": BOS_POLICY}
    return found


def read_answers(question: Question, stored: list[dict[str, Any]]) -> list[Answer]:
    """Answers from their JSON form. Raises NumericsError where not one is finite."""
    lists = ("bits", "tokens", "unconditional")
    found = [Answer(**{**entry, **{key: tuple(entry[key]) for key in lists}}) for entry in stored]
    if not any(given.finite for given in found):
        raise NumericsError(
            f"{question.name}: log-probabilities are not finite for any item: the model's weights or activations hold "
            "inf or NaN. Score an earlier checkpoint, or a wider dtype."
        )
    return found


def answer(subject: Subject, question: Question, how: Scoring, advance: Advance) -> list[Answer]:
    """The answers to all prompts of a question, in order, without keeping them."""
    task, prompts = question.task, question.prompts
    if task.kind == "bits_per_byte":
        return _documents(subject, prompts, how, advance)
    if task.max_new_tokens:
        return _written(subject, prompts, how, advance)
    return _chosen(subject, prompts, how, advance)


def _chosen(subject: Subject, prompts: Sequence[Prompt], how: Scoring, advance: Advance) -> list[Answer]:
    asked = [Continuation(prompt.context, choice) for prompt in prompts for choice in prompt.choices]
    alone = [
        Continuation(prompt.unconditional, choice)
        for prompt in prompts
        if prompt.unconditional is not None
        for choice in prompt.choices
    ]
    requests = list(dict.fromkeys([*asked, *alone]))
    scores = score_continuations(
        subject.model,
        subject.tokenizer,
        requests,
        batch_tokens=how.batch_tokens,
        opens=subject.opening,
        special=how.special,
        workers=subject.device.workers,
        ranks=how.ranks,
        advance=advance,
    )
    known = dict(zip(requests, scores, strict=True))
    return [_choice_answer(prompt, known) for prompt in prompts]


def _choice_answer(prompt: Prompt, known: dict[Continuation, Score]) -> Answer:
    own = [known[Continuation(prompt.context, choice)] for choice in prompt.choices]
    context = prompt.unconditional
    alone = [known[Continuation(context, choice)] for choice in prompt.choices] if context is not None else []
    return Answer(
        bits=tuple(score.log2_probability for score in own if isinstance(score, ContinuationScore)),
        tokens=tuple(score.tokens for score in own),
        unconditional=tuple(score.log2_probability for score in alone if isinstance(score, ContinuationScore)),
        text=None,
        truncated=max(score.truncated_tokens for score in own),
        finite=all(isinstance(score, ContinuationScore) for score in [*own, *alone]),
    )


def _written(subject: Subject, prompts: Sequence[Prompt], how: Scoring, advance: Advance) -> list[Answer]:
    from eurolm.scoring.generate import generate_until

    found = generate_until(
        subject.model,
        subject.tokenizer,
        [prompt.context for prompt in prompts],
        [prompt.stop for prompt in prompts],
        prompts[0].max_new_tokens,
        batch_tokens=how.batch_tokens,
        opens=subject.opening,
        special=how.special,
        workers=subject.device.workers,
        ranks=how.ranks,
        advance=advance,
    )
    return [
        Answer((), (entry.tokens,), (), entry.text, entry.truncated_tokens, entry.text is not None) for entry in found
    ]


def _documents(subject: Subject, prompts: Sequence[Prompt], how: Scoring, advance: Advance) -> list[Answer]:
    texts = [prompt.choices[0] for prompt in prompts]
    scores = score_documents(
        subject.model,
        subject.tokenizer,
        texts,
        how.window,
        how.stride,
        how.batch_tokens,
        advance,
        subject.device.workers,
        how.ranks,
        subject.opening.before_nothing,
    )
    return [Answer((-score.bits,), (score.tokens,), (), None, 0, True) for score in scores]
