"""A checkpoint in Hugging Face format: bf16 safetensors, tokenizer beside them, sealed by rename, and proved.

The weights are rounded from the fp32 masters, tensor by tensor, so a model of any size is exported in the memory of
its largest tensor and no rank has to gather it. Then the files are loaded as a stranger would, through `AutoModel`, and
must give the loss of the checkpoint's probe row.
"""

from __future__ import annotations

import shutil
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import torch

from eurolm import __version__
from eurolm.artifacts.atomic import PARTIAL_MARK, fsync_path, read_json, write_json
from eurolm.artifacts.manifest import Manifest, describe_files, hash_of, write_manifest
from eurolm.errors import MachineError
from eurolm.mixture.rows import Batch
from eurolm.model.load import load_model
from eurolm.model.tensor_file import Entry, write_model
from eurolm.train import store
from eurolm.train.inputs import SUMMARY
from eurolm.train.loss import CausalLoss
from eurolm.train.tensors import Index, read_index, read_range

TOKENIZER_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
)
SHAPES = "shapes.json"
"""Parameter → shape, beside the config."""
PARITY = 2e-3
"""Relative difference allowed between the exported model's loss of the probe row and the receipt's: another attention
kernel or another device rounds bf16 elsewhere; a swapped tensor is off by far more."""


def describe_model(model: Any, place: Path) -> None:
    """Write what an export needs besides weights: config, generation config, shapes."""
    model.config.architectures = [type(model).__name__]
    model.config.dtype = torch.bfloat16
    model.config.save_pretrained(place)
    model.generation_config.save_pretrained(place)
    shapes = {name: list(getattr(weight, "ds_shape", weight.shape)) for name, weight in model.named_parameters()}
    write_json(place / SHAPES, shapes)


def export_checkpoint(checkpoint: Path, tokenizer: Path, place: Path, fingerprint: str, probe: Batch) -> None:
    """Write the model of a complete checkpoint to `place`, with the tokenizer's files, `training.json` and a manifest.

    `place` is complete or absent; an older model there, of a shorter horizon, makes way at the very end. Raises
    MachineError where the exported model does not give the receipt's loss of the row `probe`.
    """
    remove_leftovers(place)
    draft = place.with_name(f"{place.name}{PARTIAL_MARK}{uuid.uuid4().hex[:12]}")
    draft.mkdir(parents=True)
    try:
        _fill(draft, checkpoint, tokenizer, fingerprint, probe)
        if place.exists():
            place.rename(place.with_name(f"{place.name}{PARTIAL_MARK}older"))
        draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    fsync_path(place.parent)
    remove_leftovers(place)


def _fill(draft: Path, checkpoint: Path, tokenizer: Path, fingerprint: str, probe: Batch) -> None:
    """All files of an export, proved and on the disk."""
    progress = store.read_progress(checkpoint)
    for path in (checkpoint / store.MODEL).iterdir():
        if path.name != SHAPES:
            shutil.copyfile(path, draft / path.name)
    for name in TOKENIZER_FILES:
        if (tokenizer / name).exists():
            shutil.copyfile(tokenizer / name, draft / name)
    write_weights(checkpoint, draft)
    check_parity(draft, float.fromhex(store.read_receipt(checkpoint).probe_loss), probe)
    write_json(draft / SUMMARY, {"fingerprint": fingerprint, "step": progress.step, **progress.state.to_json()})
    files = describe_files(draft)
    for name in files:
        fsync_path(draft / name)
    write_manifest(draft, Manifest("model", fingerprint, hash_of(files), files, eurolm_version=__version__))


def write_weights(checkpoint: Path, place: Path) -> None:
    """The weights of a checkpoint in bf16, as `save_pretrained` names their files."""
    source = checkpoint / store.TENSORS
    index = read_index(source)
    shapes = read_json(checkpoint / store.MODEL / SHAPES)
    write_model(
        place,
        {
            name: Entry(torch.bfloat16, tuple(shape), partial(_weight, source, index, name, tuple(shape)))
            for name, shape in shapes.items()
        },
    )


def _weight(source: Path, index: Index, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    size = 1
    for length in shape:
        size *= length
    weight = torch.empty(size, dtype=torch.bfloat16)
    for first, values in read_range(source, index[name]["master"], 0, size):
        weight[first : first + len(values)] = values.to(torch.bfloat16)
    return weight.view(shape)


def check_parity(model_dir: Path, expected: float, probe: Batch) -> None:
    """Raises MachineError unless the model in `model_dir` has the summed loss `expected` on the row `probe`."""
    loss = CausalLoss(load_model(model_dir, torch.bfloat16))
    arrays = (probe.input_ids, probe.position_ids, probe.targets)
    with torch.no_grad():
        found = float(loss(*(torch.from_numpy(array) for array in arrays)))
    if not abs(found - expected) <= PARITY * abs(expected):
        raise MachineError(
            f"{model_dir} has loss {found!r} on the probe row, the checkpoint's receipt says {expected!r}: the export "
            "is not the trained model. It was not put into place; report this as a defect."
        )


def remove_leftovers(place: Path) -> None:
    """Remove partial exports of killed attempts."""
    for path in list(place.parent.glob(f"{place.name}{PARTIAL_MARK}*")):
        shutil.rmtree(path)
