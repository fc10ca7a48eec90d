"""What is found wrong with a model to continue before a run spends anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tests.conftest import Workspace
from tests.model.test_families import tiny

from eurolm.errors import EurolmError
from eurolm.model.build import build_model
from eurolm.model.directory import INDEX, check_continuable_directory


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A model in two files, as large ones are published."""
    place = tmp_path / "model"
    build_model(tiny("llama"), 300, 0).save_pretrained(place)
    tensors = load_file(place / "model.safetensors")
    files = {name: f"model-0000{1 + number % 2}-of-00002.safetensors" for number, name in enumerate(tensors)}
    for file in set(files.values()):
        save_file({name: tensors[name] for name in files if files[name] == file}, place / file, {"format": "pt"})
    (place / "model.safetensors").unlink()
    (place / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": files}))
    (place / "tokenizer.json").write_text("{}")
    return place


def cut(place: Path) -> None:
    file = place / "model-00001-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def cut_in_the_header(place: Path) -> None:
    file = place / "model-00001-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:20])


def pickled(place: Path) -> None:
    (place / INDEX).unlink()
    for file in place.glob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))


def configured(**fields: object) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        config = json.loads((place / "config.json").read_text())
        (place / "config.json").write_text(json.dumps(config | fields))

    return change


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut, r"model-00001-of-00002\.safetensors has .* its header asks for .*: it was cut short"),
        (cut_in_the_header, r"model-00001-of-00002\.safetensors is not a readable safetensors file"),
        (lambda place: (place / "model-00002-of-00002.safetensors").unlink(), r"model-00002.* is not there"),
        (lambda place: (place / INDEX).write_text("[]"), "is not the index of a model"),
        (pickled, r"holds no \*\.safetensors file"),
        (lambda place: (place / "tokenizer.json").unlink(), "has neither tokenizer.json nor tokenizer.model"),
        (lambda place: (place / "config.json").write_text("{"), "is not the config.json of a model"),
        (configured(model_type="bloom"), "model_type = 'bloom' is none of llama"),
        (configured(text_config={}, model_type="gemma3"), "Save that part alone"),
        (configured(quantization_config={"bits": 4}), "is quantised"),
    ],
)
def test_what_cannot_be_continued_is_named(spoil: Callable[[Path], object], said: str, place: Path) -> None:
    check_continuable_directory(place)
    spoil(place)
    with pytest.raises(EurolmError, match=said):
        check_continuable_directory(place)


def test_a_run_says_so_before_its_first_stage(small_workspace: Workspace, place: Path) -> None:
    cut(place)
    said = small_workspace.run("run", "small.yaml", f"model.use={place}", expect=2)
    assert "it was cut short. Fetch it again" in said
    assert not small_workspace.contents("corpus")
    said = small_workspace.run("run", "small.yaml", "train.tensor_parallel=2", expect=2)
    assert "train.tensor_parallel = 2, but DeepSpeed's AutoTP splits weights" in said
    assert not small_workspace.contents("corpus")
