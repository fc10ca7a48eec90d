"""Minimal pairs: both sides score as they would alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.scoring.test_bits_per_byte import naive_bits

from eurolm.errors import InputError
from eurolm.scoring import traits
from eurolm.scoring.continuations import score_pairs
from eurolm.scoring.trees import shared_prefix
from eurolm.tasks.items import items
from eurolm.tasks.load import load_task
from eurolm.tokenizer.load import LoadedTokenizer

PAIRS = [
    *[(item.good, item.bad) for name in ("scala-lv", "inflection-swap-et") for item in items(load_task(name))[:25]],
    ("pilnīgi cits", "Teistsugune lause siin"),
    ("viens teikums", "viens teikums un vēl kas"),
    ("viens teikums un vēl kas", "viens teikums"),
    ("tas pats", "tas pats"),
    ("a", "b"),
]


@pytest.mark.parametrize(("batch_tokens", "kernel"), [(1, "sdpa"), (700, "sdpa"), (100_000, "sdpa"), (700, "none")])
def test_sides_score_as_they_do_alone(
    model: Any, tokenizer: LoadedTokenizer, batch_tokens: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one row, and in two where the attention kernel takes no mask."""
    monkeypatch.setattr(traits, "MASKED_ATTENTION", kernel)
    shares: list[float] = []
    found = score_pairs(model, tokenizer, PAIRS, batch_tokens, shares.append)
    assert sum(shares) == pytest.approx(1.0)
    for pair, scores in zip(PAIRS, found, strict=True):
        for text, score in zip(pair, scores, strict=True):
            ids = tokenizer.encode(text)
            assert score.log2_probability == pytest.approx(
                -naive_bits(model, ids, tokenizer.eod_id, 256, 256), rel=1e-5
            )
            assert (score.bytes, score.tokens) == (len(text.encode()), len(ids))


def test_equal_texts_tie_exactly(model: Any, tokenizer: LoadedTokenizer) -> None:
    ((first, second),) = score_pairs(model, tokenizer, [("tas pats teikums", "tas pats teikums")], 64)
    assert first == second
    assert math.isfinite(first.log2_probability)


def test_shared_prefix() -> None:
    assert shared_prefix(np.array([1, 2, 3]), np.array([1, 2, 4, 5])) == 2
    assert shared_prefix(np.array([1, 2]), np.array([1, 2, 4])) == 2
    assert shared_prefix(np.array([9]), np.array([1])) == 0


def test_a_text_beyond_the_context_is_refused(model: Any, tokenizer: LoadedTokenizer) -> None:
    with pytest.raises(InputError, match="has no token of its own"):
        score_pairs(model, tokenizer, [("a", "")], 64)
    with pytest.raises(InputError, match="is longer than the model's context of 256 tokens"):
        score_pairs(model, tokenizer, [("a", "ļoti " * 300)], 64)
