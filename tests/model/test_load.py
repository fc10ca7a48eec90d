"""Loading models: what is refused, and that nothing is filled in or dropped silently."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from eurolm.config.architecture import ModelConfig
from eurolm.errors import InputError
from eurolm.model.build import build_model
from eurolm.model.load import load_model, open_model, stored_dtype

TINY = ModelConfig(hidden_size=64, layers=3, attention_heads=4, key_value_heads=2, intermediate_size=96)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    build_model(TINY, 300, 5).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_saved_model_loads(saved: Path) -> None:
    model, loaded = build_model(TINY, 300, 5), load_model(saved)
    assert not loaded.training
    assert loaded.generation_config.eos_token_id == 5
    ids = torch.tensor([[5, 1, 2, 3]])
    with torch.no_grad():
        assert torch.equal(model.eval()(input_ids=ids).logits, loaded(input_ids=ids).logits)


def test_directories_that_hold_no_safe_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no config\.json"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    with pytest.raises(InputError, match=r"holds no \*\.safetensors"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not a header")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(tmp_path)
    with pytest.raises(InputError, match="not a readable safetensors file"):
        open_model(tmp_path, torch.float32)


def test_code_in_a_model_directory_is_not_run(saved: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (saved / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Evil: pass\n")
    (saved / "config.json").write_text(
        '{"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}}'
    )
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(saved)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("layers", "said"),
    [(4, r"9 weights .* are missing, the first is model\.layers\.3\."), (2, "9 weights .* have no place in it")],
)
def test_weights_of_another_depth_are_refused(saved: Path, layers: int, said: str) -> None:
    edit(saved, num_hidden_layers=layers)
    with pytest.raises(InputError, match=said):
        load_model(saved)


def test_weights_of_another_shape_are_refused(saved: Path) -> None:
    edit(saved, intermediate_size=80)
    with pytest.raises(InputError, match=r"cannot be loaded|have other shapes"):
        load_model(saved)


def test_a_model_is_mapped_only_in_the_dtype_of_its_files(saved: Path) -> None:
    assert stored_dtype(saved) == torch.float32
    assert open_model(saved, torch.float32).dtype == torch.float32
    with pytest.raises(InputError, match=r"holds weights in torch\.float32, wanted are torch\.bfloat16"):
        open_model(saved, torch.bfloat16)
    file = saved / "model.safetensors"
    save_file({name: value.to(torch.int8) for name, value in load_file(file).items()}, file)
    with pytest.raises(InputError, match=r"holds weights in I8; .* before it was quantised"):
        stored_dtype(saved)


def edit(directory: Path, **changes: object) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
