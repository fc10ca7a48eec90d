"""The trained model in Hugging Face format: safetensors in bf16, tokenizer beside it, sealed by rename."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

import torch

from eurolm import __version__
from eurolm.artifacts.atomic import PARTIAL_MARK, fsync_path, write_json
from eurolm.artifacts.manifest import Manifest, describe_files, hash_of, write_manifest
from eurolm.train.inputs import SUMMARY

TOKENIZER_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
)


def export_model(model: Any, tokenizer: Path, place: Path, fingerprint: str, summary: dict[str, Any]) -> None:
    """Write `model` (any dtype) to `place` with the tokenizer's files, `training.json` and a manifest.

    `place` is complete or absent; an older model there, of a shorter horizon, makes way at the very end.
    """
    remove_leftovers(place)
    partial = place.with_name(f"{place.name}{PARTIAL_MARK}{uuid.uuid4().hex[:12]}")
    partial.mkdir()
    model.save_pretrained(partial, state_dict=_own_storage(model))
    for name in TOKENIZER_FILES:
        if (tokenizer / name).exists():
            shutil.copyfile(tokenizer / name, partial / name)
    write_json(partial / SUMMARY, {"fingerprint": fingerprint, **summary})
    files = describe_files(partial)
    manifest = Manifest("model", fingerprint, hash_of(files), files, eurolm_version=__version__)
    for name in files:
        fsync_path(partial / name)
    write_manifest(partial, manifest)
    if place.exists():
        place.rename(place.with_name(f"{place.name}{PARTIAL_MARK}older"))
    partial.rename(place)
    fsync_path(place.parent)
    remove_leftovers(place)


def _own_storage(model: Any) -> dict[str, torch.Tensor]:
    """The weights as bf16 CPU tensors of their own: DeepSpeed's are views into one buffer. Tied ones stay tied."""
    copies: dict[tuple[int, torch.Size], torch.Tensor] = {}
    state: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        key = (tensor.data_ptr(), tensor.shape)
        if key not in copies:
            copies[key] = tensor.detach().to("cpu", torch.bfloat16, copy=True)
        state[name] = copies[key]
    return state


def remove_leftovers(place: Path) -> None:
    """Remove partial exports of killed attempts."""
    for path in place.parent.glob(f"{place.name}{PARTIAL_MARK}*"):
        shutil.rmtree(path)
