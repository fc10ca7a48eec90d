"""The models an evaluation scores: the trained one and the one training started from, each loaded when needed."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open

from eurolm.artifacts.hashing import content_hash, sha256_file, sha256_json
from eurolm.config.architecture import ModelConfig
from eurolm.errors import InputError
from eurolm.machine.host import cores, versions
from eurolm.model.build import build_model
from eurolm.model.load import check_directory, load_model
from eurolm.scoring.encoding import Opening, opening
from eurolm.tokenizer.load import LoadedTokenizer

BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""CPU features (x86, Arm) with which bf16 matrix products are faster than fp32; without them they are slower."""


@dataclass(frozen=True)
class Device:
    """Where and in which number format scoring runs."""

    device: torch.device
    dtype: torch.dtype
    name: str
    workers: int
    """Batches scored at once: one per core on a CPU, one on an accelerator."""

    @property
    def dtype_name(self) -> str:
        """`bfloat16` or `float32`."""
        return str(self.dtype).removeprefix("torch.")


def choose_device(dtype: Literal["float32", "bfloat16"] | None = None) -> Device:
    """The accelerator if there is one, else the CPU; where no `dtype` is wanted, bf16 if the hardware multiplies it,
    else fp32.

    Measured on the quickstart's model: bits per byte in bf16 and fp32 agree to 1e-4, no pair changes its verdict, and
    scoring takes half the time. Log-softmax is fp32 in both.
    """
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return Device(torch.device("cuda"), _dtype(dtype, fast), torch.cuda.get_device_name(), 1)
    flags, model_name = _cpu()
    return Device(torch.device("cpu"), _dtype(dtype, bool(flags & BF16_FLAGS)), model_name, cores())


def _dtype(wanted: str | None, fast: bool) -> torch.dtype:
    return torch.bfloat16 if wanted == "bfloat16" or (wanted is None and fast) else torch.float32


@dataclass
class Subject:
    """One model to score; the weights are loaded at the first use, so that finished units cost no loading."""

    identity: str
    """Hash of what determines its weights."""
    source: Path | ModelConfig
    tokenizer: LoadedTokenizer
    device: Device
    opening: Opening
    """What stands before a text, by the tokenizer's own rule."""
    _model: Any = field(default=None, repr=False)

    @property
    def model(self) -> Any:
        """The model in evaluation mode on its device."""
        if self._model is None:
            if isinstance(self.source, Path):
                self._model = model_in(self.source, self.tokenizer, self.device)
            else:
                sizes = (self.tokenizer.vocab_size, self.tokenizer.eod_id)
                built: Any = build_model(self.source, *sizes, self.tokenizer, self.device.dtype)
                self._model = built.to(self.device.device).eval()
        return self._model

    def release(self) -> None:
        """Drop the weights."""
        self._model = None


def model_in(path: Path, tokenizer: LoadedTokenizer, device: Device) -> Any:
    """The model of a Hugging Face directory, in evaluation mode.

    Loaded in the wanted dtype, never converted: `to(dtype)` takes twice the memory, and rounds the rotary tables, which
    no file holds, as well. Raises InputError for a directory without a model, or whose tokenizer is another model's.
    """
    model: Any = load_model(path, device.dtype)
    _check_rows(model, tokenizer, path)
    return model.to(device.device).eval()


def trained(path: Path, tokenizer: LoadedTokenizer, device: Device) -> Subject:
    """The model in a Hugging Face directory."""
    return Subject(model_sha256(path), path, tokenizer, device, opening(path, tokenizer))


def untrained(config: ModelConfig, tokenizer: LoadedTokenizer, device: Device, opens: Opening) -> Subject:
    """The model training started from: seeded weights, or those of `model.use`; read with the same opening."""
    fields = config.output_fields() | {"use": model_sha256(config.use) if config.use else None}
    identity = sha256_json([fields, tokenizer.vocab_size, tokenizer.eod_id, versions(("torch",))])
    return Subject(identity, config, tokenizer, device, opens)


def model_sha256(path: Path) -> str:
    """Hash of a model directory's weights and config. Raises InputError where there are none."""
    check_directory(path)
    files = [path / "config.json", *sorted(path.glob("*.safetensors"))]
    return content_hash({file.name: sha256_file(file) for file in files})


def parameter_count(path: Path) -> int:
    """Parameters stored in a model directory, from the headers alone; a tied matrix is stored once."""
    total = 0
    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            total += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    return total


@contextmanager
def one_thread_per_worker() -> Iterator[None]:
    """Let torch compute with one core per thread while batches are spread over threads; its setting is restored."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_rows(model: Any, tokenizer: LoadedTokenizer, path: Path) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if tokenizer.vocab_size > rows:
        raise InputError(
            f"the tokenizer has {tokenizer.vocab_size:,} entries, the model in {path} only {rows:,} embedding rows: "
            "it is not this model's tokenizer."
        )


def _cpu() -> tuple[set[str], str]:
    """Feature flags and name of this CPU; empty and the architecture where Linux does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set(), platform.machine()
    flags: set[str] = set()
    name = platform.machine()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            flags.update(value.split())
        elif key.strip() == "model name":
            name = value.strip()
    return flags, name
