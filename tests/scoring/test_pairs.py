"""Minimal pairs of the carried tasks: both sides score as they would alone, equal sides tie."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.scoring.test_bits_per_byte import naive_bits

from eurolm.scoring import traits
from eurolm.scoring.choices import Continuation, ContinuationScore, score_continuations
from eurolm.tasks.items import items
from eurolm.tasks.load import load_task
from eurolm.tasks.prompts import prompts
from eurolm.tokenizer.load import LoadedTokenizer

TASKS = [load_task(name) for name in ("scala-lv", "inflection-swap-et")]
SIDES = [
    *[choice for task in TASKS for prompt in prompts(task, items(task)[:25], "", 0, 1) for choice in prompt.choices],
    *("pilnīgi cits", "Teistsugune lause siin", "viens teikums", "viens teikums un vēl kas", "a", "b"),
]


@pytest.mark.parametrize(("batch_tokens", "kernel"), [(1, "sdpa"), (700, "sdpa"), (100_000, "sdpa"), (700, "none")])
def test_sides_score_as_they_do_alone(
    model: Any, tokenizer: LoadedTokenizer, batch_tokens: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one row, and in two where the attention kernel takes no mask."""
    monkeypatch.setattr(traits, "MASKED_ATTENTION", kernel)
    requests = [Continuation("", side) for side in SIDES]
    for side, score in zip(
        SIDES, score_continuations(model, tokenizer, requests, batch_tokens=batch_tokens), strict=True
    ):
        ids = tokenizer.encode(side)
        assert isinstance(score, ContinuationScore)
        assert score.log2_probability == pytest.approx(-naive_bits(model, ids, tokenizer.eod_id, 256, 256), rel=1e-5)
        assert (score.bytes, score.tokens) == (len(side.encode()), len(ids))


def test_equal_texts_tie_exactly(model: Any, tokenizer: LoadedTokenizer) -> None:
    first, second = score_continuations(model, tokenizer, [Continuation("", "tas pats teikums")] * 2)
    assert first == second
    assert isinstance(first, ContinuationScore)
    assert math.isfinite(first.log2_probability)
