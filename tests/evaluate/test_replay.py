"""A replay on the same machine finds no drift; another precision and another model are found out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from eurolm.config.model import Config
from eurolm.errors import InputError
from eurolm.evaluate.answers import Answer, Question
from eurolm.evaluate.replay import drift, replay, sample
from eurolm.model.load import load_model
from eurolm.scoring.choices import Continuation, ContinuationScore, score_continuations
from eurolm.scoring.generate import generate_until
from eurolm.tasks.items import items
from eurolm.tasks.load import load_task
from eurolm.tasks.prompts import prompts
from eurolm.tokenizer.load import load


def answers(model_dir: Path, question: Question, dtype: torch.dtype = torch.float32) -> list[Answer]:
    """What the model says, choices or texts."""
    model, tokenizer = load_model(model_dir).to(dtype), load(model_dir)
    contexts = [prompt.context for prompt in question.prompts]
    if question.task.max_new_tokens:
        texts = generate_until(model, tokenizer, contexts, [prompt.stop for prompt in question.prompts], 6)
        return [Answer((), (text.tokens,), (), text.text, 0, True) for text in texts]
    requests = [Continuation(prompt.context, choice) for prompt in question.prompts for choice in prompt.choices]
    found = iter(score_continuations(model, tokenizer, requests, batch_tokens=512))
    rows = [[next(found) for _ in prompt.choices] for prompt in question.prompts]
    return [
        Answer(
            tuple(score.log2_probability for score in row if isinstance(score, ContinuationScore)),
            (),
            (),
            None,
            0,
            True,
        )
        for row in rows
    ]


def stored(place: Path, question: Question, found: list[Answer]) -> Path:
    """The items file, as evaluation writes it."""
    from eurolm.evaluate.judge import judge

    said = judge(question.task, question.template, question.prompts, found).said
    lines = [
        json.dumps({"id": prompt.item, **words, **({"log2_probability": answer.bits} if answer.bits else {})})
        for prompt, answer, words in zip(question.prompts, found, said, strict=True)
    ]
    file = place / f"items-{question.name}.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return file


def question(name: str, template: str = "", count: int = 60) -> Question:
    task = load_task(name)
    return Question(task, template, prompts(task, items(task)[:count], template, 0, 1))


@pytest.mark.parametrize(("name", "template"), [("scala-lv", ""), ("sib200-et", ""), ("tatoeba-en-lv", "")])
def test_the_same_machine_gives_the_same_answers(model_dir: Path, tmp_path: Path, name: str, template: str) -> None:
    asked = question(name, template, 20)
    file = stored(tmp_path, asked, answers(model_dir, asked))
    found = replay(file, asked, lambda some: answers(model_dir, some), 0.25, seed=1)
    assert (found.items, found.changed, found.not_finite, found.not_stored) == (5, 0, 0, 0)
    if not asked.task.max_new_tokens:
        # Fewer items share other batches, which moves the last bits.
        assert found.largest_bits is not None
        assert found.largest_bits <= 1e-4


def test_another_precision_drifts_and_another_model_answers_otherwise(
    model_dir: Path, config: Config, tmp_path: Path
) -> None:
    asked = question("scala-lv")
    file = stored(tmp_path, asked, answers(model_dir, asked))
    low = replay(file, asked, lambda some: answers(model_dir, some, torch.bfloat16), 1.0, seed=1)
    assert low.largest_bits is not None
    assert low.mean_bits is not None
    assert 1e-3 < low.mean_bits < low.largest_bits < 5
    turned = [Answer(tuple(reversed(one.bits)), (), (), None, 0, True) for one in answers(model_dir, asked)]
    assert replay(file, asked, lambda _: turned, 1.0, seed=1).changed == 60


def test_items_without_a_number_are_counted(model_dir: Path, tmp_path: Path) -> None:
    asked = question("scala-lv", count=4)
    found = answers(model_dir, asked)
    file = stored(tmp_path, Question(asked.task, "", asked.prompts[1:]), found[1:])
    broken = Answer((), (), (), None, 0, False)
    result = replay(file, asked, lambda some: [broken, *found[2:]], 1.0, seed=1)
    assert (result.items, result.not_finite, result.not_stored, result.changed) == (3, 1, 1, 0)


def test_the_sample_depends_on_seed_and_item_alone() -> None:
    asked = question("scala-lv")
    chosen = [prompt.item for prompt in sample(asked.prompts, 0.1, 3)]
    assert len(chosen) == 6
    assert chosen == [prompt.item for prompt in sample(asked.prompts[::-1], 0.1, 3)][::-1]
    assert chosen != [prompt.item for prompt in sample(asked.prompts, 0.1, 4)]
    assert len(sample(asked.prompts[:3], 0.02, 1)) == 1


def test_bad_input_is_refused(tmp_path: Path) -> None:
    asked = question("scala-lv", count=3)
    never: Any = None
    for share in (0.0, 1.5):
        with pytest.raises(InputError, match="a share between 0 and 1"):
            replay(tmp_path / "none", asked, never, share, 1)
    with pytest.raises(InputError, match="is not a file of scored items"):
        replay(tmp_path / "none", asked, never, 0.5, 1)
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "another"}\n')
    with pytest.raises(InputError, match="has no item of the sample"):
        replay(other, asked, never, 0.5, 1)
    assert drift(Question(asked.task, "", []), [], [], 0).largest_bits is None
