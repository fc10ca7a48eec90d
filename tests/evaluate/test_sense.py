"""Scores that make sense: random weights know nothing, a model that has seen the answers knows them.

Letters are asked in every rotation of the options: whoever always picks one letter is right in exactly 1 of k. A model
that peeks was trained on the very prompts with their answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.evaluate.conftest import QUIET, SIZES

from eurolm.config.architecture import ModelConfig
from eurolm.evaluate.answers import Question, Scoring, answer
from eurolm.evaluate.baselines import scores
from eurolm.evaluate.judge import Judged, judge
from eurolm.evaluate.measures import figure
from eurolm.evaluate.subject import Subject, choose_device, one_thread_per_worker, trained
from eurolm.evaluate.units import Units
from eurolm.model.build import build_model
from eurolm.scoring.bits_per_byte import document_rows
from eurolm.tasks.examples import limited
from eurolm.tasks.items import Item, items
from eurolm.tasks.load import Task, load_task
from eurolm.tasks.prompts import prompts
from eurolm.tokenizer.load import load


def asked(subject: Subject, task: Task, template: str, found: list[Item], rotation: int = 0) -> Judged:
    how = Scoring(Units(Path("nowhere")), 256, 128, 4096, False, QUIET)
    put = prompts(task, found, template, rotation=rotation)
    return judge(task, template, put, answer(subject, Question(task, template, put), how, lambda share: None))


@pytest.fixture(scope="module")
def random_weights(model_dir: Path) -> Subject:
    return trained(model_dir, load(model_dir), choose_device())


def test_random_weights_are_right_once_in_k_over_all_rotations(random_weights: Subject) -> None:
    task = load_task("mmlu-lv")
    found = limited(items(task), 120)
    turns = [asked(random_weights, task, "burti", found, rotation) for rotation in range(4)]
    rows = np.concatenate([turn.measures["accuracy"].rows for turn in turns])
    # An item's four rotations are one cluster.
    measure = turns[0].measures["accuracy"].__class__("accuracy", "share", rows)
    score = figure(measure, [name for turn in turns for name in turn.clusters])
    assert score.value is not None and score.low is not None and score.high is not None
    assert score.low <= 0.25 <= score.high and abs(score.value - 0.25) < 0.03
    # Asked in one order only they are where always picking a letter is, which need not be a quarter.
    letters = [one["predicted"] for one in turns[0].said]
    assert max(letters.count(letter) for letter in range(4)) > 0.5 * len(letters)


ELSEWHERE = [("copa-lv", "savienojums"), ("xcopa-et", "sidend"), ("sib200-lv", "tema"), ("sib200-et", "teema"),
             ("mmlu-lv", "teksts")]  # fmt: skip


@pytest.mark.parametrize(("name", "template"), ELSEWHERE)
def test_random_weights_are_at_a_baseline_elsewhere(random_weights: Subject, name: str, template: str) -> None:
    task = load_task(name)
    found = limited(items(task), 120)
    judged = asked(random_weights, task, template, found)
    score = scores(task, found, judged, None, 10.0)["accuracy"]
    assert score.above_baseline is False
    assert score.figure.low is not None and score.figure.high is not None
    constant = [
        sum(item.gold == place for item in found) / len(found) for place in range(len(judged.prompts[0].choices))
    ]
    levels = [*score.baselines.values(), *constant]
    assert any(score.figure.low <= level <= score.figure.high for level in levels)


def peeking(model_dir: Path, texts: Sequence[str], steps: int) -> Subject:
    """A model trained on the texts until it knows them by heart."""
    tokenizer = load(model_dir)
    sizes = {**SIZES, "hidden_size": 96, "intermediate_size": 192}
    model = build_model(ModelConfig(**sizes, seed=1), tokenizer.vocab_size, tokenizer.eod_id, tokenizer)
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)
    rows = [document_rows(np.array(ids), tokenizer.eod_id, 10_000, 10_000)[0] for ids in tokenizer.encode_batch(texts)]
    width = max(len(row.inputs) for row in rows)
    inputs = torch.tensor(np.stack([np.pad(row.inputs, (0, width - len(row.inputs))) for row in rows]))
    targets = torch.tensor(
        np.stack([np.pad(row.targets, (0, width - len(row.targets)), constant_values=-100) for row in rows])
    )
    with one_thread_per_worker():
        _learn(model, optimiser, inputs, targets, steps)
    subject = trained(model_dir, tokenizer, choose_device())
    subject._model = model.to(dtype=subject.device.dtype).eval()
    return subject


def _learn(model: Any, optimiser: Any, inputs: torch.Tensor, targets: torch.Tensor, steps: int) -> None:
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * min(1.0, (step + 1) / 20, 2 * (1 - step / steps))
        part = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(step))[:12]
        logits = model(input_ids=inputs[part]).logits.float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets[part].flatten(), ignore_index=-100)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def short(task: Task, template: str, count: int) -> list[Item]:
    """Items with the shortest prompts: learning by heart takes a test's time."""
    pool = items(task)
    if not template:
        pool = [item for item in pool if len(item.good.encode()) == len(item.bad.encode())]
    put = prompts(task, pool, template)
    lengths = {prompt.item: len(prompt.context) + max(map(len, prompt.choices)) for prompt in put}
    return sorted(pool, key=lambda item: lengths[item.id])[:count]


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("scala-lv", ""),
        pytest.param("xcopa-et", "tahed", marks=pytest.mark.long),
        pytest.param("copa-lv", "savienojums", marks=pytest.mark.long),
    ],
)
def test_a_model_that_peeks_knows_the_answers(model_dir: Path, name: str, template: str) -> None:
    task = load_task(name)
    found = short(task, template, 24)
    seen = [prompt.context + prompt.choices[prompt.gold or 0] for prompt in prompts(task, found, template)]
    judged = asked(peeking(model_dir, seen, 160), task, template, found)
    score = figure(judged.measures["accuracy"], judged.clusters)
    assert score.value is not None and score.value >= 0.95
    for other in scores(task, found, judged, None, 10.0)["accuracy"].baselines.values():
        assert score.low is not None and score.low > other
