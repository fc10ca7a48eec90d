"""The chunked loss against torch's own, and packed rows against separate ones."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from eurolm.config.architecture import ModelConfig
from eurolm.model.build import build_model
from eurolm.train import loss
from eurolm.train.loss import CausalLoss

VOCABULARY, HIDDEN, TOKENS = 256, 64, 20


def model(seed: int = 3) -> torch.nn.Module:
    config = ModelConfig(
        hidden_size=HIDDEN, layers=2, attention_heads=2, key_value_heads=1, intermediate_size=96, seed=seed
    )
    return build_model(config, VOCABULARY, 0)


def batch(rows: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(1, VOCABULARY, (rows, TOKENS), generator=generator)
    positions = torch.arange(TOKENS).expand(rows, TOKENS).clone()
    targets = torch.randint(1, VOCABULARY, (rows, TOKENS), generator=generator)
    targets[0, 4:9] = -100
    targets[-1] = -100
    return ids, positions, targets


@pytest.mark.parametrize("chunk_rows", [1, 7, 1000])
def test_loss_and_gradients_equal_those_of_torch(chunk_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loss.CHUNK_LOGITS, "cpu", chunk_rows * VOCABULARY)
    ids, positions, targets = batch()
    ours, theirs = model(), model()
    total = CausalLoss(ours)(ids, positions, targets)
    (total * 0.25).backward()
    logits = theirs(input_ids=ids, position_ids=positions).logits
    expected = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
    (expected * 0.25).backward()
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine.grad, other.grad, rtol=1e-4, atol=1e-6), name


def test_a_batch_without_targets_has_zero_loss_and_gradient() -> None:
    ids, positions, targets = batch()
    ours = model()
    total = CausalLoss(ours)(ids, positions, torch.full_like(targets, -100))
    total.backward()
    assert total.item() == 0
    assert all(parameter.grad.abs().max() == 0 for parameter in ours.parameters())


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_documents_packed_into_a_row_do_not_see_each_other(attention: str) -> None:
    ids, positions, targets = batch(rows=2)
    targets = targets.clamp(min=1)
    ours = model()
    ours.set_attn_implementation(attention)
    apart = CausalLoss(ours)(ids, positions, targets)
    together = CausalLoss(ours)(ids.reshape(1, -1), positions.reshape(1, -1), targets.reshape(1, -1))
    running_on = torch.arange(2 * TOKENS)[None]
    leaking = CausalLoss(ours)(ids.reshape(1, -1), running_on, targets.reshape(1, -1))
    assert together.item() == pytest.approx(apart.item(), rel=1e-6)
    assert abs(leaking.item() - apart.item()) > 1e-3
