"""Bits per byte: every token once, the same for every batch size, equal to the naive way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from eurolm.errors import ConfigError, NumericsError
from eurolm.scoring.bits_per_byte import bits_per_byte, document_rows, score_documents
from eurolm.scoring.loglikelihood import IGNORED
from eurolm.tokenizer.load import LoadedTokenizer

WINDOW, STRIDE = 64, 24


def naive_bits(model: Any, ids: list[int], eod_id: int, window: int, stride: int) -> float:
    """One window after the other, full logits in float64; each token in the first window that holds it."""
    inputs, total, start, done = [eod_id, *ids], 0.0, 0, 0
    while done < len(ids):
        end = min(start + window, len(ids))
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([inputs[start:end]])).logits[0].double()
        table = torch.log_softmax(logits, -1)
        for place in range(done, end):
            total -= table[place - start, ids[place]].item() / math.log(2)
        done, start = end, start + stride
    return total


def test_equal_to_the_naive_way_for_every_batch_size(
    model: Any, tokenizer: LoadedTokenizer, documents: list[str]
) -> None:
    short = [document[:1500] for document in documents]
    expected = [naive_bits(model, tokenizer.encode(text), tokenizer.eod_id, WINDOW, STRIDE) for text in short]
    for batch_tokens in (1, 300, 100_000):
        scores = score_documents(model, tokenizer, short, WINDOW, STRIDE, batch_tokens)
        for score, bits, text in zip(scores, expected, short, strict=True):
            assert score.bits == pytest.approx(bits, rel=1e-5)
            assert score.bytes == len(text.encode())
            assert score.tokens == len(tokenizer.encode(text))
        total = sum(len(text.encode()) for text in short)
        assert bits_per_byte(scores) == pytest.approx(sum(expected) / total, abs=1e-6)


def test_order_of_documents_does_not_matter(model: Any, tokenizer: LoadedTokenizer, documents: list[str]) -> None:
    short = [document[:1000] for document in documents]
    one = score_documents(model, tokenizer, short, WINDOW, STRIDE, 512)
    other = score_documents(model, tokenizer, short[::-1], WINDOW, STRIDE, 512)[::-1]
    assert [score.bits for score in one] == pytest.approx([score.bits for score in other], rel=1e-6)


@pytest.mark.parametrize("length", [1, 2, 23, 24, 63, 64, 65, 87, 88, 89, 500])
@pytest.mark.parametrize(("window", "stride"), [(64, 24), (64, 64), (64, 1), (16, 5)])
def test_every_token_is_scored_once_with_enough_context(length: int, window: int, stride: int) -> None:
    ids = np.arange(1, length + 1)
    scored: list[int] = []
    for row in document_rows(ids, 0, window, stride):
        assert len(row.inputs) == len(row.targets) <= window
        for place, target in enumerate(row.targets):
            if target == IGNORED:
                continue
            scored.append(int(target))
            assert row.inputs[place] == target - 1  # the token before it, EOD = 0 before the first
            assert target <= window or place >= window - stride
    assert scored == list(range(1, length + 1))


def test_a_uniform_model_costs_log2_of_the_vocabulary_per_token(
    model: Any, tokenizer: LoadedTokenizer, documents: list[str]
) -> None:
    head = model.get_output_embeddings()
    kept = head.weight.detach().clone()
    try:
        head.weight.data.zero_()
        scores = score_documents(model, tokenizer, documents[:6], WINDOW, STRIDE, 1024)
    finally:
        head.weight.data.copy_(kept)
    tokens, size = sum(score.tokens for score in scores), sum(score.bytes for score in scores)
    assert bits_per_byte(scores) == pytest.approx(math.log2(len(head.weight)) * tokens / size, rel=1e-6)


def test_empty_text_costs_nothing(model: Any, tokenizer: LoadedTokenizer) -> None:
    scores = score_documents(model, tokenizer, ["", "abc"], WINDOW, STRIDE, 64)
    assert (scores[0].bits, scores[0].bytes, scores[0].tokens) == (0.0, 0, 0)
    assert scores[1].bits > 0
    assert math.isnan(bits_per_byte(scores[:1]))


@pytest.mark.parametrize("stride", [0, 65])
def test_impossible_strides_are_refused(model: Any, tokenizer: LoadedTokenizer, stride: int) -> None:
    with pytest.raises(ConfigError, match=f"stride_tokens = {stride} must lie between 1 and the window of 64"):
        score_documents(model, tokenizer, ["abc"], 64, stride, 64)


def test_threads_change_nothing_and_pass_errors_on(
    model: Any, tokenizer: LoadedTokenizer, documents: list[str]
) -> None:
    short = [document[:1000] for document in documents]
    model.train()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = score_documents(model, tokenizer, short, WINDOW, STRIDE, 512)
        assert score_documents(model, tokenizer, short, WINDOW, STRIDE, 512, workers=3) == alone
        assert model.training
        model.model.norm.weight.data[0] = float("nan")
        with pytest.raises(NumericsError, match="not finite"):
            score_documents(model, tokenizer, short, WINDOW, STRIDE, 512, workers=3)
        assert model.training
    finally:
        torch.set_num_threads(threads)
        model.model.norm.weight.data[0] = 1.0
        model.eval()
