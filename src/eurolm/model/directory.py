"""Whether a directory can be continued, as far as its files say without being read whole. No torch here.

Asked before the first stage of a run: the weights are needed after hours of work on the corpus, and a file that was
not fetched to its end would be found only then.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eurolm.errors import InputError
from eurolm.model.size import read_shape

INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model")
LENGTH_BYTES = 8


def check_continuable_directory(place: Path) -> None:
    """Raises InputError (ConfigError for a family that is not known) naming what `place` lacks."""
    if not place.is_dir():
        raise InputError(f"model.use = {place} is no directory. Give the directory of a Hugging Face model.")
    _check_config(place)
    weights = sorted(place.glob("*.safetensors"))
    if not weights:
        raise InputError(
            f"model.use = {place} holds no *.safetensors file. Weights in other formats can run code when they are "
            "read; convert the model with `save_pretrained` first."
        )
    for name in sorted(_indexed(place)):
        if not (place / name).is_file():
            raise InputError(f"model.use = {place}: {name} is named in {INDEX} and is not there. Fetch it again.")
    for file in weights:
        _check_whole(file)
    if not any((place / name).is_file() for name in TOKENIZERS):
        raise InputError(
            f"model.use = {place} has neither {' nor '.join(TOKENIZERS)}. Without the model's tokenizer nobody knows "
            "which row belongs to which token."
        )


def _check_config(place: Path) -> None:
    try:
        value = json.loads((place / "config.json").read_bytes())
    except (OSError, ValueError):
        value = {}
    if "text_config" in value:
        raise InputError(
            f"model.use = {place} is a {value.get('model_type')} model, of which a language model is one part. Save "
            "that part alone and give it."
        )
    read_shape(place)
    if value.get("quantization_config") is not None:
        raise InputError(
            f"model.use = {place} is quantised, and rounded weights cannot be trained. Give the model it was made from."
        )


def _indexed(place: Path) -> set[str]:
    """Files that the index names; none where there is no index."""
    path = place / INDEX
    if not path.is_file():
        return set()
    try:
        return set(json.loads(path.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path} is not the index of a model: {error!r}. Fetch it again.") from None


def _check_whole(file: Path) -> None:
    """The header says where the last tensor ends (https://github.com/huggingface/safetensors#format)."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
        text = stream.read(length) if length <= size else b""
    try:
        header: dict[str, Any] = json.loads(text)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, AttributeError, TypeError):
        raise InputError(f"{file} is not a readable safetensors file. Fetch it again.") from None
    wanted = LENGTH_BYTES + length + max(ends, default=0)
    if size != wanted:
        raise InputError(
            f"{file} has {size:,} bytes, its header asks for {wanted:,}: it was cut short. Fetch it again."
        )
