"""Every family: initial weights, what a directory gives back, and documents packed into one row."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
import torch
from transformers import AutoModelForCausalLM

from eurolm.config.architecture import Family, ModelConfig
from eurolm.config.load import load_config
from eurolm.errors import ConfigError, InputError, MachineError
from eurolm.model import tensor_file
from eurolm.model.build import build_model, initial_tensor
from eurolm.model.families import INITIAL_DEVIATION, check_continuable, transformers_config
from eurolm.model.initial import write_initial
from eurolm.model.load import empty_model, open_model
from eurolm.model.parts import part_of
from eurolm.model.size import parameters

FAMILIES = get_args(Family)
WINDOW = 8
PUBLISHED = {
    "gemma3-1b": (262_144, 999_885_952),
    "llama-135m": (49_152, 134_515_008),
    "llama-1b": (128_256, 1_235_814_400),
    "llama-3b": (128_256, 3_212_749_824),
    "llama-8b": (128_256, 8_030_261_248),
    "mistral-7b": (32_768, 7_248_023_552),
    "olmo2-1b": (100_352, 1_484_916_736),
    "olmo2-7b": (100_352, 7_298_617_344),
    "qwen2.5-7b": (152_064, 7_615_616_512),
    "qwen3-4b": (151_936, 4_022_468_096),
    "tildeopen-30b": (131_072, 30_677_882_880),
}
"""Embedding rows and parameters of the models the presets are named after (their pages on the Hugging Face Hub; of
TildeOpen 30.7B is published)."""


def tiny(family: Family, **changes: object) -> ModelConfig:
    """Seven layers, so that gemma3_text has local ones and a global one; a window shorter than the documents."""
    window = WINDOW if family in ("mistral", "gemma3_text") else None
    sizes = {"hidden_size": 64, "layers": 7, "attention_heads": 4, "key_value_heads": 2, "intermediate_size": 96}
    return ModelConfig(family=family, head_size=24, sliding_window_tokens=window, **{**sizes, **changes})


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_start_where_transformers_starts_them(family: Family) -> None:
    config = tiny(family)
    own = build_model(config, 300, 0)
    with torch.random.fork_rng():
        theirs = AutoModelForCausalLM.from_config(transformers_config(config, 300, 0))
    vectors = {name: value for name, value in theirs.named_parameters() if value.dim() == 1}
    assert vectors
    for name, value in vectors.items():
        assert torch.equal(own.get_parameter(name), value), name


@pytest.mark.parametrize("family", FAMILIES)
def test_matrices_have_the_deviations_of_gpt2(family: Family) -> None:
    model = build_model(tiny(family, hidden_size=192, intermediate_size=384), 600, 0)
    for name, value in model.named_parameters():
        if value.dim() == 2:
            residual = name.endswith(("o_proj.weight", "down_proj.weight"))
            wanted = INITIAL_DEVIATION / 14**0.5 if residual else INITIAL_DEVIATION
            assert value.std().item() == pytest.approx(wanted, rel=0.05), name


def test_a_weight_follows_from_seed_name_and_shape_alone() -> None:
    config = tiny("qwen3")
    name, shape = "model.layers.3.mlp.up_proj.weight", (96, 64)
    alone = initial_tensor(config, name, shape)
    assert torch.equal(build_model(config, 300, 0).get_parameter(name), alone)
    assert torch.equal(build_model(config, 900, 7).get_parameter(name), alone)


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_written_weights_are_those_built_in_memory(
    family: Family, tie: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(family, tie_embeddings=tie)
    built = build_model(config, 300, 5).eval()
    monkeypatch.setattr(tensor_file, "FILE_BYTES", 200_000)
    for dtype in (torch.float32, torch.bfloat16):
        place = tmp_path / str(dtype)
        record = write_initial(config, 300, 5, tmp_path, place, dtype)
        assert record.parameters == parameters(config, 300).total
        assert len(list(place.glob("model-*-of-*.safetensors"))) > 2
        opened = open_model(place, dtype)
        stored, wanted = dict(opened.named_parameters()), dict(built.named_parameters())
        assert stored.keys() == wanted.keys()
        assert all(torch.equal(stored[name], wanted[name].to(dtype)) for name in stored)
        # Rotary tables and Gemma's scale are in no file; on the meta device they would be lost.
        tables, wanted = dict(opened.named_buffers()), dict(built.named_buffers())
        assert tables.keys() == wanted.keys()
        assert all(torch.equal(tables[name].float(), wanted[name].to(tables[name].dtype).float()) for name in tables)
        # An empty model has all of that too, and no weights.
        empty = empty_model(place, dtype)
        assert {name: value.shape for name, value in empty.named_parameters()} == {
            name: value.shape for name, value in opened.named_parameters()
        }
        assert all(torch.equal(value, tables[name]) for name, value in empty.named_buffers())
        assert (empty.dtype, empty.generation_config.pad_token_id) == (dtype, 5)
        assert opened.config.pad_token_id is None
        assert (opened.config.bos_token_id, opened.config.eos_token_id) == (5, 5)
        assert opened.generation_config.pad_token_id == 5
    assert opened.dtype == torch.bfloat16


def test_a_killed_attempt_leaves_nothing_and_a_place_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, place = tiny("llama"), tmp_path / "initial"
    leftover = tmp_path / "initial.partial-0123"
    leftover.mkdir()
    (leftover / "model.safetensors").write_bytes(b"half")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(MachineError, match=r"cannot be written .* No space left"):
        patched.setattr(tensor_file, "write_tensors", full)
        write_initial(config, 300, 5, tmp_path, place, torch.float32)
    assert list(tmp_path.iterdir()) == []
    write_initial(config, 300, 5, tmp_path, place, torch.float32)
    assert [path.name for path in tmp_path.iterdir()] == ["initial"]
    with pytest.raises(InputError, match="exists already"):
        write_initial(config, 300, 5, tmp_path, place, torch.float32)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_documents_in_one_row_give_the_logits_they_give_alone(family: Family, attention: str) -> None:
    model = build_model(tiny(family), 300, 0).eval()
    model.set_attn_implementation(attention)
    generator = torch.Generator().manual_seed(1)
    lengths = [21, 9, 1, 33]
    ids = torch.randint(0, 300, (1, sum(lengths)), generator=generator)
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    with torch.no_grad():
        packed = model(input_ids=ids, position_ids=positions, attention_mask=None, use_cache=False).logits
        bounds = torch.tensor([0, *lengths]).cumsum(0).tolist()
        alone = [model(input_ids=ids[:, start:end], use_cache=False).logits for start, end in pairwise(bounds)]
        unpacked = model(input_ids=ids, use_cache=False).logits
    assert (packed - torch.cat(alone, 1)).abs().max() <= 1e-6
    assert (packed - unpacked).abs().max() > 1e-3, "the documents would not have seen each other anyway"


@pytest.mark.parametrize("family", ["mistral", "gemma3_text"])
def test_a_window_hides_what_is_further_back(family: Family) -> None:
    changed = {}
    for window in (WINDOW, None):
        config = tiny(family, layers=5).model_copy(update={"sliding_window_tokens": window})
        model = build_model(config, 300, 0).eval()
        ids = torch.arange(60)[None]
        other = ids.clone()
        other[0, 0] = 299
        with torch.no_grad():
            changed[window] = (model(input_ids=ids).logits - model(input_ids=other).logits)[0, -1].abs().max().item()
    assert changed[WINDOW] == 0.0  # five local layers of eight tokens reach back 36
    assert changed[None] > 0.0


@pytest.mark.parametrize("family", FAMILIES)
def test_parts(family: Family) -> None:
    for tie in (True, False):
        model = build_model(tiny(family, tie_embeddings=tie), 300, 0)
        parts = {name: part_of(model, name) for name, _ in model.named_parameters()}
        assert parts.pop("model.embed_tokens.weight") == "embeddings"
        assert part_of(model, "lm_head.weight") == ("embeddings" if tie else "head")
        parts.pop("lm_head.weight", None)
        assert set(parts.values()) == {"body"}


def test_what_the_loss_cannot_compute_is_refused(tmp_path: Path) -> None:
    config = transformers_config(tiny("gemma3_text"), 300, 0)
    check_continuable(config, tmp_path)
    config.final_logit_softcapping = 30.0
    with pytest.raises(InputError, match=r"sets final_logit_softcapping = 30\.0: its logits are not"):
        check_continuable(config, tmp_path)


def test_a_window_for_a_family_without_one_is_refused() -> None:
    config = tiny("llama").model_copy(update={"sliding_window_tokens": 64})
    with pytest.raises(ConfigError, match="sliding_window_tokens = 64: llama attends to the whole context"):
        build_model(config, 300, 0)


def test_presets_have_the_published_sizes(tmp_path: Path) -> None:
    presets = Path(__file__).resolve().parents[2] / "configs" / "models"
    assert {path.stem for path in presets.glob("*.yaml")} == PUBLISHED.keys()
    for name, (rows, total) in PUBLISHED.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(f"name: own\nextends: [models/{name}.yaml]\nmodel: {{seed: 3}}\n")
        config = load_config(path).config.model
        assert parameters(config, rows).total == total, name
        transformers_config(config, rows, 0)
        assert config.seed == 3
