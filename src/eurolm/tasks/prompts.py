"""Prompts: what a model is shown for an item, what is scored or generated after it, and what is right.

A prompt is plain data, the same for every backend: `context` followed by each of `choices` where log-probabilities
decide, `context` alone where the model writes the answer. Which fields are filled is decided by the task's kind:

| kind | context | choices | gold | references | labels |
| --- | --- | --- | --- | --- | --- |
| minimal_pairs | "" | good, bad | 0 | | |
| multiple_choice, classification | question | continuations (" A", " jā") | index | | |
| generation, translation, inflection | question | | null | accepted answers | |
| sequence_labelling | question | | null | the right answer as text | (type, text) of each entity |
| bits_per_byte | "" | the one text | null | | |
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation: what a `user` asks, what an `assistant` answers."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """One question to a model. A continuation carries its own leading space; `context` never ends with one."""

    item: str
    """Id of the item."""
    cluster: str
    """Items of one cluster (document) are not independent: intervals resample clusters."""
    group: str
    """Part of the task that is reported by itself, such as a subject of MMLU; "" where a task has none."""
    context: str
    """Everything before the answer, few-shot examples included; "" for minimal pairs and bits per byte."""
    choices: tuple[str, ...]
    """Continuations of `context` to score; empty where the model writes."""
    gold: int | None
    """Which of `choices` is right."""
    unconditional: str | None
    """The context that normalises a choice by its probability without the question; null where that means nothing."""
    references: tuple[str, ...]
    """Answers that count as right, or translations to compare with."""
    stop: tuple[str, ...]
    """Generation ends before the first of these strings."""
    max_new_tokens: int
    """Most tokens to generate; 0 where nothing is."""
    labels: tuple[tuple[str, str], ...]
    """Gold entities of sequence labelling: (type as the data names it, text)."""
    turns: tuple[Turn, ...]
    """The same question as a conversation, few-shot examples as earlier turns; empty where `context` is."""
