"""Writing safetensors one tensor at a time, so that nothing is held twice.

The library's own `save_file` takes all tensors as bytes at once, which doubles the memory of a checkpoint. The format
is a length, a JSON header and the raw bytes (https://github.com/huggingface/safetensors#format); reading is the
library's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from eurolm.artifacts.atomic import write_json

DTYPES = {
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
}
HEADER_ALIGNMENT = 8
FILE_BYTES = 5 * 10**9
"""Most bytes of tensors in one file of a model."""


@dataclass(frozen=True)
class Entry:
    """A tensor to be written: known by type and shape before it exists."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    make: Callable[[], torch.Tensor]
    """Called once, when its turn has come; the tensor may lie on any device."""

    @property
    def bytes(self) -> int:
        """Size of the tensor's values."""
        size = self.dtype.itemsize
        for length in self.shape:
            size *= length
        return size


def entry_of(tensor: torch.Tensor) -> Entry:
    """An entry for a tensor that exists."""
    return Entry(tensor.dtype, tuple(tensor.shape), lambda: tensor)


def write_tensors(path: Path, entries: Mapping[str, Entry]) -> None:
    """Write `entries` in their order. Raises ValueError when a tensor is not what its entry promised."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, entry in entries.items():
        end = offset + entry.bytes
        header[name] = {"dtype": DTYPES[entry.dtype], "shape": list(entry.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % HEADER_ALIGNMENT)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little"))
        stream.write(text)
        for name, entry in entries.items():
            tensor = entry.make().detach().to("cpu").contiguous()
            if tensor.dtype != entry.dtype or tuple(tensor.shape) != entry.shape:
                raise ValueError(
                    f"{name} is {tensor.dtype} {tuple(tensor.shape)}, promised {entry.dtype} {entry.shape}"
                )
            stream.write(tensor.view(-1).view(torch.uint8).numpy().data)


def write_model(place: Path, entries: Mapping[str, Entry]) -> None:
    """`model.safetensors` in `place`, or several files with an index, named as `save_pretrained` names them; tensors in
    the order of `entries`."""
    groups: list[dict[str, Entry]] = [{}]
    held = 0
    for name, entry in entries.items():
        if groups[-1] and held + entry.bytes > FILE_BYTES:
            groups.append({})
            held = 0
        groups[-1][name] = entry
        held += entry.bytes
    if len(groups) == 1:
        write_tensors(place / "model.safetensors", groups[0])
        return
    where: dict[str, str] = {}
    for number, group in enumerate(groups, start=1):
        file = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        write_tensors(place / file, group)
        where |= dict.fromkeys(group, file)
    size = sum(entry.bytes for entry in entries.values())
    write_json(place / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": where})
