"""Texts in one row under a mask score as they do alone, and share what they have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.scoring.test_loglikelihood import sequence

from eurolm.scoring.trees import TokenText, batch_tables, shared_prefix, tree_rows, tree_scores


def texts_with_common_beginnings() -> list[TokenText]:
    """Examples before questions before choices, a prefix of another, an equal text, and one by itself."""
    examples, questions = sequence(1, 40), [sequence(seed, 12) for seed in (2, 3)]
    found = [
        TokenText(np.concatenate((examples, question, sequence(10 * number + choice, 1 + choice))), 1 + choice)
        for number, question in enumerate(questions)
        for choice in range(4)
    ]
    return [*found, TokenText(found[3].ids[:-1], 2), found[0], TokenText(sequence(99, 20), 19)]


def alone(model: Any, text: TokenText) -> tuple[np.ndarray, np.ndarray]:
    """Full logits of the text by itself."""
    with torch.no_grad():
        table = torch.log_softmax(model(input_ids=torch.from_numpy(text.ids)[None]).logits[0].double(), -1).numpy()
    places = np.arange(len(text.ids) - 1 - text.scored, len(text.ids) - 1)
    targets = text.ids[-text.scored :]
    return table[places, targets], table[places].argmax(1) == targets


@pytest.mark.parametrize("branching", [1000, 53, 0])
@pytest.mark.parametrize("batch_tokens", [1, 150, 100_000])
def test_texts_score_as_they_do_alone(model: Any, branching: int, batch_tokens: int) -> None:
    texts = texts_with_common_beginnings()
    shares: list[float] = []
    rows = tree_rows(texts, 64, branching)
    found = tree_scores(model, texts, rows, batch_tokens, shares.append)
    assert sum(shares) == pytest.approx(1.0)
    for text, (logprobs, greedy) in zip(texts, found, strict=True):
        expected, best = alone(model, text)
        assert np.abs(logprobs - expected).max() <= 2e-5
        assert (greedy == best).all()


def test_what_texts_share_runs_once() -> None:
    texts = texts_with_common_beginnings()
    rows = tree_rows(texts, 64, branching=10_000)
    together = sum(row.length for row in rows)
    # 40 of examples, 12 per question, 0 + 1 + 2 + 3 inputs of its choices, and the last text by itself.
    assert together == 40 + 2 * (12 + 6) + 19
    assert sorted(text for row in rows for text in row.texts) == list(range(len(texts)))


def test_without_a_mask_only_continuations_of_one_text_share() -> None:
    texts = texts_with_common_beginnings()
    rows = tree_rows(texts, 64, branching=0)
    assert all(row.straight for row in rows)
    inputs, positions, mask, _ = batch_tables(texts, rows)
    assert mask is None
    assert (positions == np.arange(inputs.shape[1])).all()
    # One-token answers to one question are asked of one place.
    answers = [TokenText(np.append(sequence(1, 30), token), 1) for token in (5, 6, 7, 8)]
    (row,) = tree_rows(answers, 64, branching=0)
    assert row.length == 30


def test_longer_texts_than_the_limit_do_not_branch() -> None:
    """A row may go on with a longer text, but then nothing departs from it."""
    texts = texts_with_common_beginnings()
    for limit in (1, 52, 53, 54):
        for row in tree_rows(texts, 64, branching=limit):
            assert row.straight or max(len(texts[text].inputs) for text in row.texts) <= limit
    assert len(tree_rows(texts, 64, branching=54)) < len(tree_rows(texts, 64, branching=0))


def test_a_beginning_too_short_to_pay_for_the_mask_is_not_shared() -> None:
    texts = [TokenText(np.concatenate((sequence(0, 3), sequence(seed, 900))), 1) for seed in (1, 2)]
    assert len(tree_rows(texts, 64, branching=10_000)) == 2
    assert len(tree_rows(texts, 1_000_000, branching=10_000)) == 1
    assert len(tree_rows(texts, 1_000_000, branching=10_000, longest=1000)) == 2


def test_each_token_sees_its_own_text_alone() -> None:
    texts = texts_with_common_beginnings()[:8]
    rows = tree_rows(texts, 64, branching=10_000)
    inputs, positions, mask, _ = batch_tables(texts, rows)
    assert mask is not None
    for number, row in enumerate(rows):
        for text, places in zip(row.texts, row.places, strict=True):
            seen = np.flatnonzero(mask[number, 0, places[-1]])
            seen = seen[np.argsort(positions[number, seen])]
            assert (inputs[number, seen] == texts[text].inputs).all()
            assert (positions[number, seen] == np.arange(len(texts[text].inputs))).all()


def test_shared_prefix() -> None:
    assert shared_prefix(np.array([1, 2, 3]), np.array([1, 2, 4, 5])) == 2
    assert shared_prefix(np.array([1, 2]), np.array([1, 2, 4])) == 2
    assert shared_prefix(np.array([9]), np.array([1])) == 0
