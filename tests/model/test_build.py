"""Models: same bits everywhere, sizes in closed form, bad configurations said clearly."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from eurolm.config.architecture import ModelConfig
from eurolm.errors import ConfigError
from eurolm.model.build import build_model
from eurolm.model.families import INITIAL_DEVIATION
from eurolm.model.size import forward_flops_per_token, padded_vocabulary, parameters, training_flops_per_token

TINY = ModelConfig(hidden_size=64, layers=3, attention_heads=4, key_value_heads=2, intermediate_size=96)


def weights(config: ModelConfig, vocab_size: int = 300) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in build_model(config, vocab_size, 0).state_dict().items()}


def test_same_seed_gives_the_same_bits_whatever_the_global_generator_holds() -> None:
    torch.manual_seed(1)
    first = weights(TINY)
    torch.manual_seed(2)
    random.seed(3)
    np.random.seed(4)
    torch.rand(17)
    second = weights(TINY)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    build_model(TINY, 300, 0)
    assert torch.equal(before, torch.get_rng_state())


def test_another_seed_gives_other_weights() -> None:
    first, second = weights(TINY), weights(TINY.model_copy(update={"seed": 2}))
    matrices = [name for name, value in first.items() if value.dim() == 2]
    assert matrices
    assert all(not torch.equal(first[name], second[name]) for name in matrices)


def test_deviations_are_those_of_gpt2() -> None:
    config = ModelConfig(hidden_size=256, layers=8, intermediate_size=512)
    found = weights(config, 2048)
    residual = INITIAL_DEVIATION / 4  # 1 / sqrt(2 × 8 layers)
    for name, value in found.items():
        if value.dim() < 2:
            assert torch.all(value == 1), name
            continue
        wanted = residual if name.endswith(("o_proj.weight", "down_proj.weight")) else INITIAL_DEVIATION
        assert value.std().item() == pytest.approx(wanted, rel=0.02), name
        assert abs(value.mean().item()) < wanted / 50, name


def test_eod_as_padding_does_not_freeze_its_embedding() -> None:
    model = build_model(TINY.model_copy(update={"tie_embeddings": False}), 300, 7)
    assert model.model.embed_tokens.padding_idx is None
    assert model.model.embed_tokens.weight[7].abs().sum() > 0
    model(input_ids=torch.tensor([[7, 1, 2]])).logits.square().mean().backward()
    assert model.model.embed_tokens.weight.grad[7].abs().sum() > 0


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("vocab_size", [300, 384])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_parameter_count_is_that_of_the_built_model(tie: bool, vocab_size: int, groups: int) -> None:
    config = TINY.model_copy(update={"tie_embeddings": tie, "key_value_heads": groups})
    model = build_model(config, vocab_size, 0)
    assert parameters(config, vocab_size).total == sum(value.numel() for value in model.parameters())
    assert model.get_input_embeddings().weight.shape[0] == padded_vocabulary(vocab_size) == 384
    assert all(value.dtype == torch.float32 for value in model.parameters())


def test_flops_are_those_a_counter_sees() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    config = TINY.model_copy(update={"key_value_heads": 4})
    model = build_model(config, 300, 0)
    model.config._attn_implementation = "eager"
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.arange(32)[None])
    # The counter also sees the outer product that makes the rotary angles.
    assert counter.get_total_flops() / 32 == pytest.approx(forward_flops_per_token(config, 300, 32), rel=1e-3)
    assert training_flops_per_token(config, 300, 32) == 3 * forward_flops_per_token(config, 300, 32)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"hidden_size": 66},
            "model.hidden_size = 66 is not a multiple of model.attention_heads = 4. Nearest: .* 64 or 68",
        ),
        ({"hidden_size": 60}, "is odd: rotary .* 56 or 64"),
        ({"key_value_heads": 3}, "model.key_value_heads = 3 does not divide .* Possible: 1, 2, 4"),
    ],
)
def test_impossible_sizes_are_refused_with_a_remedy(change: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_model(TINY.model_copy(update=change), 300, 0)


def test_eod_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(ConfigError, match="end-of-document id 300 is outside"):
        build_model(TINY, 300, 300)
