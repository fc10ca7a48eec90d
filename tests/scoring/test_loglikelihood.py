"""Log-probabilities: packed rows mean the same as separate ones, chunks and batches change nothing."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from eurolm.errors import NumericsError
from eurolm.scoring import loglikelihood
from eurolm.scoring.batches import batches_by_length
from eurolm.scoring.loglikelihood import IGNORED, Queries, ScoredRow, row_logprobs, score_queries, token_logprobs


def sequence(seed: int, length: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1000, length)


def oracle(model: Any, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Full logits, log-softmax, gather."""
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(inputs)[None]).logits[0].double()
    table = torch.log_softmax(logits, -1).numpy()
    return np.array([0.0 if target == IGNORED else table[place, target] for place, target in enumerate(targets)])


def test_two_documents_packed_in_a_row_score_as_they_do_apart(model: Any) -> None:
    first, second = sequence(1, 37), sequence(2, 54)
    first_targets, second_targets = sequence(3, 37), sequence(4, 54)
    packed = token_logprobs(
        model,
        torch.from_numpy(np.concatenate((first, second)))[None],
        torch.cat((torch.arange(37), torch.arange(54)))[None],
        torch.from_numpy(np.concatenate((first_targets, second_targets)))[None],
    )[0]
    apart = np.concatenate((oracle(model, first, first_targets), oracle(model, second, second_targets)))
    assert np.abs(packed - apart).max() <= 1e-5  # float32 sums of magnitude 10 in another order
    # The same row without restarting positions reads across the border: the test above can fail.
    unmasked = token_logprobs(
        model,
        torch.from_numpy(np.concatenate((first, second)))[None],
        torch.arange(91)[None],
        torch.from_numpy(np.concatenate((first_targets, second_targets)))[None],
    )[0]
    assert np.abs(unmasked - apart).max() > 0.1


def test_packed_and_separate_logits_agree(model: Any) -> None:
    first, second = torch.from_numpy(sequence(1, 20)), torch.from_numpy(sequence(2, 33))
    with torch.no_grad():
        packed = model(
            input_ids=torch.cat((first, second))[None],
            position_ids=torch.cat((torch.arange(20), torch.arange(33)))[None],
            attention_mask=None,
            use_cache=False,  # with a cache, transformers does not look for packed documents
        ).logits[0]
        apart = torch.cat((model(input_ids=first[None]).logits[0], model(input_ids=second[None]).logits[0]))
    scale = apart.abs().max().item()
    assert (packed - apart).abs().max().item() <= 1e-6 * max(1.0, scale)


def test_batching_padding_and_chunks_do_not_change_scores(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    for seed, length in enumerate((1, 5, 64, 64, 17, 130, 2)):
        targets = sequence(seed + 50, length)
        targets[::3] = IGNORED
        rows.append(ScoredRow(sequence(seed, length), targets))
    expected = [oracle(model, row.inputs, row.targets) for row in rows]
    monkeypatch.setattr(loglikelihood, "TILE", {"cpu": (3, 50)})
    shares: list[float] = []
    for batch_tokens in (1, 100, 10_000):
        shares.clear()
        found = row_logprobs(model, rows, batch_tokens, shares.append)
        assert all(np.abs(one - other).max() <= 1e-5 for one, other in zip(found, expected, strict=True))
        assert all(scores.dtype == np.float32 for scores in found)
        assert sum(shares) == pytest.approx(1.0)


def test_a_tile_without_a_possible_token_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loglikelihood, "TILE", {"cpu": (256, 50)})
    torch.manual_seed(0)
    head, hidden = torch.nn.Linear(16, 220), torch.randn(9, 16)
    with torch.no_grad():
        head.bias[40:160] = -torch.inf
    asked, targets = np.repeat(np.arange(9), 2), np.tile(np.array([7, 219]), 9)
    with torch.no_grad():
        found, greedy = loglikelihood._scores(hidden, head, None, asked, targets)
        table = torch.log_softmax(head(hidden).double(), 1).numpy()
    assert np.abs(found.numpy() - table[asked, targets]).max() <= 1e-6
    assert greedy.tolist() == (table.argmax(1)[asked] == targets).tolist()


def test_batches_hold_like_lengths_within_the_limit() -> None:
    lengths = [3, 50, 7, 50, 8, 1000]
    batches = batches_by_length(lengths, 100)
    assert batches == [[5], [1, 3], [4, 2, 0]]


def test_bf16_counts_the_target_logit_in_full(model: Any) -> None:
    """In bf16 the log-probability is nearer to what the same hidden states give in fp32 than bf16 logits are."""
    ids, flat, targets = torch.from_numpy(sequence(1, 200))[None], np.arange(200), sequence(2, 200)
    low = copy.deepcopy(model).to(torch.bfloat16)
    scored, _ = score_queries(low, ids, torch.arange(200)[None], Queries(flat, targets))
    with torch.no_grad():
        hidden = low.base_model(input_ids=ids).last_hidden_state[0]
        weight = low.get_output_embeddings().weight
        plain = torch.log_softmax((hidden @ weight.T).float(), -1).numpy()[flat, targets]
        in_full = torch.log_softmax(hidden.float() @ weight.T.float(), -1).numpy()[flat, targets]
    assert np.abs(scored - in_full).mean() < 0.7 * np.abs(plain - in_full).mean()
    assert (scored <= 0).all()


def test_several_tokens_are_asked_of_one_place(model: Any) -> None:
    """Also where chunks cut between places, and `greedy` names the argmax alone."""
    ids = torch.from_numpy(sequence(1, 40))[None]
    with torch.no_grad():
        table = torch.log_softmax(model(input_ids=ids).logits[0].double(), -1).numpy()
    flat = np.repeat(np.arange(0, 40, 3), 4)
    targets = np.concatenate([[table[place].argmax(), *sequence(int(place), 3)] for place in flat[::4]])
    scores, greedy = score_queries(model, ids, torch.arange(40)[None], Queries(flat, targets))
    assert np.abs(scores - table[flat, targets]).max() <= 1e-5
    assert (greedy == (table[flat].argmax(1) == targets)).all()
    assert greedy[::4].all()


def test_training_mode_is_restored_and_nothing_needs_gradients(model: Any) -> None:
    model.train()
    model.model.layers[0].eval()
    try:
        scores = token_logprobs(model, torch.tensor([[1, 2]]), torch.tensor([[0, 1]]), torch.tensor([[2, IGNORED]]))
        assert model.training
        assert not model.model.layers[0].training
        assert model.model.layers[1].training
        assert scores.dtype == np.float32
        assert scores[0, 1] == 0
        assert scores[0, 0] < 0
    finally:
        model.eval()


def test_values_that_are_not_finite_stop_with_a_count(model: Any) -> None:
    weight = model.model.norm.weight
    kept = weight.detach().clone()
    try:
        weight.data[3] = float("nan")
        with pytest.raises(NumericsError, match="2 of 2 log-probabilities are not finite"):
            token_logprobs(model, torch.tensor([[1, 2]]), torch.tensor([[0, 1]]), torch.tensor([[2, 3]]))
    finally:
        weight.data.copy_(kept)


@pytest.mark.parametrize("change", [{"final_logit_softcapping": 3.0}, {"logit_scale": 0.25}, {"logits_scaling": 4.0}])
def test_models_that_change_their_logits(change: dict[str, float]) -> None:
    """Gemma 2, Cohere and Granite, each as its own class in transformers computes logits."""
    classes = {"final_logit_softcapping": "Gemma2", "logit_scale": "Cohere", "logits_scaling": "Granite"}
    name = classes[next(iter(change))]
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
             "intermediate_size": 64, "vocab_size": 300, "head_dim": 16}  # fmt: skip
    config = getattr(transformers, f"{name}Config")(**sizes, **change)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        other = getattr(transformers, f"{name}ForCausalLM")(config).eval()
        for parameter in other.parameters():
            parameter.data.normal_(0, 0.3)
    row = ScoredRow(sequence(1, 30) % 300, sequence(2, 30) % 300)
    (found,) = row_logprobs(other, [row], 100)
    assert np.abs(found - oracle(other, row.inputs, row.targets)).max() <= 1e-4
