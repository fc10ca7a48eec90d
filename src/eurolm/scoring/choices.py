"""What a model makes of continuations of contexts: requests, scores, and scores that are not numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Continuation:
    """A text to score after a context; an empty context means a document of its own."""

    context: str
    text: str


@dataclass(frozen=True)
class ContinuationScore:
    """What a model gives one continuation."""

    log2_probability: float
    """Summed over the continuation's tokens."""
    tokens: int
    bytes: int
    """UTF-8 bytes of the continuation's text as given."""
    greedy: bool
    """Every token is the model's most probable one."""
    truncated_tokens: int
    """Tokens cut off the context's left because the model's context is shorter."""


@dataclass(frozen=True)
class NonFiniteScore:
    """A continuation whose logits hold inf or NaN: it is counted and has no score."""

    tokens: int
    bytes: int
    truncated_tokens: int


@dataclass(frozen=True)
class Generated:
    """What a model wrote after a context, up to the first stop string or end-of-document token."""

    text: str | None
    """None where logits were not finite: counted, never judged as an answer."""
    tokens: int
    truncated_tokens: int
    """Tokens cut off the context's left so that it and the new tokens fit."""


Score = ContinuationScore | NonFiniteScore
