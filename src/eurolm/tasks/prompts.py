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

from collections.abc import Sequence
from dataclasses import dataclass

from eurolm.tasks.description import WITHOUT_PROMPT, WRITTEN_BY_MODEL
from eurolm.tasks.entities import as_answer
from eurolm.tasks.examples import Examples
from eurolm.tasks.items import Item
from eurolm.tasks.load import Task
from eurolm.tasks.templates import LETTERS, Wording

BETWEEN = "\n\n"
"""Between instruction, examples and question."""


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


@dataclass(frozen=True)
class Question:
    """An item in the words of a template, without examples: prompt, its continuations, which of them is right."""

    prompt: str
    continuations: tuple[str, ...]
    gold: int | None
    right: str


def prompts(
    task: Task,
    found: Sequence[Item],
    template: str = "",
    shots: int = 0,
    seed: int = 1,
    pool: Sequence[Item] | None = None,
    rotation: int = 0,
) -> list[Prompt]:
    """A prompt for each item of `found`, in order, in the words of `template` ("" is the task's first).

    `shots` examples come from `pool` (all items of the task where `found` is only some of them), chosen by `seed`,
    never of the item's own document. `rotation` moves the options of multiple choice on by so many places; over all
    rotations whoever always picks the same letter is right in exactly 1/k. Examples are not rotated.

    Raises ConfigError for an unknown template, one that fails on an item, or too few items for the examples.
    """
    if task.kind in WITHOUT_PROMPT:
        return [_bare(item, (item.text,) if task.kind == "bits_per_byte" else item.choices) for item in found]
    wording = Wording(task, template or task.default_template)
    examples = Examples(task, found if pool is None else pool, shots, seed)
    return [_prompt(task, wording, item, examples.of(item), rotation) for item in found]


def _bare(item: Item, choices: tuple[str, ...]) -> Prompt:
    """What is scored as it stands."""
    return Prompt(item.id, item.cluster, item.group, "", choices, item.gold, None, (), (), 0, (), ())


def _prompt(task: Task, wording: Wording, item: Item, examples: Sequence[Item], rotation: int) -> Prompt:
    question = _question(task, wording, item, rotation)
    shown = [_question(task, wording, example, 0) for example in examples]
    instruction = [wording.template.instruction] if wording.template.instruction else []
    asked = [*(entry.prompt for entry in shown), question.prompt]
    turns = [Turn("user", BETWEEN.join([*instruction, asked[0]]))]
    for entry, following in zip(shown, asked[1:], strict=True):
        turns += [Turn("assistant", entry.right.strip()), Turn("user", following)]
    writes = task.kind in WRITTEN_BY_MODEL
    return Prompt(
        item=item.id,
        cluster=item.cluster,
        group=item.group,
        context=BETWEEN.join([*instruction, *(entry.prompt + entry.right for entry in shown), question.prompt]),
        choices=question.continuations,
        gold=question.gold,
        unconditional=wording.unconditional(item),
        references=_answers(task, item) if writes else (),
        stop=task.stop if writes else (),
        max_new_tokens=task.max_new_tokens,
        labels=item.labels,
        turns=tuple(turns),
    )


def _question(task: Task, wording: Wording, item: Item, rotation: int) -> Question:
    if task.kind in WRITTEN_BY_MODEL:
        return Question(wording.prompt(item), (), None, wording.answer(item, _answers(task, item)[0]))
    if task.kind == "classification":
        options, gold = tuple(task.labels.values()), item.gold or 0
        said: Sequence[str] = options
    else:
        count = len(item.choices)
        options = tuple(item.choices[(place + rotation) % count] for place in range(count))
        gold = ((item.gold or 0) - rotation) % count
        said = LETTERS[:count] if wording.template.formulation == "letters" else options
    continuations = tuple(wording.answer(item, answer) for answer in said)
    return Question(wording.prompt(item, options), continuations, gold, continuations[gold])


def _answers(task: Task, item: Item) -> tuple[str, ...]:
    """What counts as right, the one shown in examples first."""
    if task.kind == "sequence_labelling":
        return (as_answer(item.labels, task.labels, task.no_entities or ""),)
    return item.references
