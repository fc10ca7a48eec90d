"""Closed forms of size, family by family, against models that `transformers` builds on the meta device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from eurolm.config.architecture import ModelConfig
from eurolm.errors import ConfigError, InputError
from eurolm.model.size import check_shape, count, forward_flops, parameters, read_shape, shape_of

# Each family with the options that change its count. Sizes are tiny; the forms are linear in them.
SIZES = {
    "hidden_size": 48,
    "num_hidden_layers": 7,
    "num_attention_heads": 6,
    "vocab_size": 384,
    "intermediate_size": 80,
}
CASES = [
    ("llama", {"num_key_value_heads": 2}),
    ("llama", {"num_key_value_heads": 6, "tie_word_embeddings": True}),
    ("llama", {"num_key_value_heads": 3, "head_dim": 16, "attention_bias": True, "mlp_bias": True}),
    ("mistral", {"num_key_value_heads": 2, "head_dim": 10}),
    ("mistral", {"num_key_value_heads": 2, "sliding_window": None}),
    ("qwen2", {"num_key_value_heads": 3, "tie_word_embeddings": True}),
    ("qwen3", {"num_key_value_heads": 3}),
    ("qwen3", {"num_key_value_heads": 2, "head_dim": 12, "attention_bias": True}),
    ("gemma3_text", {"num_key_value_heads": 1, "head_dim": 16}),
    ("gemma3_text", {"num_key_value_heads": 2, "tie_word_embeddings": False}),
    ("olmo2", {"num_key_value_heads": 2}),
    ("olmo2", {"num_key_value_heads": 6, "attention_bias": True}),
]


@pytest.mark.parametrize(("family", "options"), CASES, ids=lambda value: str(value)[:40])
def test_count_from_config_json_is_that_of_the_model(family: str, options: dict, tmp_path: Path) -> None:
    settings = AutoConfig.for_model(family, **SIZES, **options)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(settings)
    settings.save_pretrained(tmp_path)
    shape = read_shape(tmp_path)
    counted = count(shape)
    named = dict(model.named_parameters())
    assert counted.total == sum(value.numel() for value in named.values())
    layers = {name: value for name, value in named.items() if ".layers." in name}
    assert counted.matrices == sum(value.numel() for value in layers.values() if value.dim() == 2)
    assert counted.vectors == sum(value.numel() for value in layers.values() if value.dim() == 1)
    kinds = getattr(settings, "layer_types", None) or []
    if family != "mistral":  # which has no list: all layers or none
        assert shape.local_layers == kinds.count("sliding_attention")


def test_published_models_have_their_published_sizes() -> None:
    tilde = ModelConfig(hidden_size=6144, layers=60, attention_heads=48, key_value_heads=8, intermediate_size=21_504,
                        tie_embeddings=False)  # fmt: skip
    assert parameters(tilde, 131_072).total == pytest.approx(30.7e9, rel=0.005)
    llama8 = ModelConfig(hidden_size=4096, layers=32, attention_heads=32, key_value_heads=8, intermediate_size=14_336,
                         tie_embeddings=False)  # fmt: skip
    assert parameters(llama8, 128_256).total == 8_030_261_248


def test_a_window_bounds_the_attention_that_is_counted() -> None:
    wide = ModelConfig(family="mistral", max_position_tokens=4096)
    narrow = wide.model_copy(update={"sliding_window_tokens": 512})
    assert forward_flops(shape_of(narrow, 512), 512) == forward_flops(shape_of(wide, 512), 512)
    assert forward_flops(shape_of(narrow, 512), 4096) == forward_flops(shape_of(wide, 512), 512)


def test_a_larger_tokenizer_enlarges_the_embedding(tmp_path: Path) -> None:
    AutoConfig.for_model("llama", **SIZES).save_pretrained(tmp_path)
    config = ModelConfig(use=tmp_path)
    assert shape_of(config, 300).embedding_rows == 384
    assert shape_of(config, 385).embedding_rows == 512


def test_unknown_families_and_impossible_sizes_are_refused(tmp_path: Path) -> None:
    AutoConfig.for_model("gpt2").save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"gpt2.*none of llama"):
        read_shape(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"config\.json"):
        read_shape(tmp_path)
    with pytest.raises(ConfigError, match=r"set model\.head_size"):
        check_shape(ModelConfig(hidden_size=100, attention_heads=3, key_value_heads=1))
    with pytest.raises(ConfigError, match="head_size = 9 is odd"):
        check_shape(ModelConfig(hidden_size=100, attention_heads=3, key_value_heads=1, head_size=9))
