"""Models from local directories: safetensors only, no code from the directory, no network.

`transformers` builds the model on the meta device and assigns tensors that are mapped from the files, so a model whose
files hold the wanted dtype costs page cache, which all processes of a node share, and no memory of its own (measured
with transformers 4.57 and 5.23; a test holds it).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel
from transformers.utils import logging

from eurolm.errors import InputError

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}
"""Names of safetensors for dtypes that weights are trained and stored in."""

IGNORED_WEIGHTS = ("rotary_emb.inv_freq",)
"""Tables that old conversions of Llama stored beside the weights; every model computes them."""


def load_model(path: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A causal language model from a local directory, on the CPU, in evaluation mode.

    Raises InputError where the directory holds no such model, or weights that are not those of its config.json.
    """
    check_directory(path)
    try:
        with _silenced():
            model, found = AutoModelForCausalLM.from_pretrained(
                path,
                dtype=dtype,
                attn_implementation="sdpa",
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
    except (ValueError, OSError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise InputError(f"{path} cannot be loaded as a causal language model of transformers: {first_line}") from error
    _check_weights(path, found)
    return model.eval()


def open_model(place: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The model in `place`, its parameters mapped from files of this very dtype, in evaluation mode.

    All processes of a node that open it share one copy until they write to it. Raises InputError where the files hold
    another dtype, which would give each process a converted copy of its own.
    """
    check_directory(place)
    stored = stored_dtype(place)
    if stored != dtype:
        raise InputError(f"{place} holds weights in {stored}, wanted are {dtype}: write it with that dtype.")
    for file in sorted(place.glob("*.safetensors")):
        # Faults of a mapping read a few pages at a time; the advice lets the file system read ahead.
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)
    return load_model(place, dtype)


def empty_model(description: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The model of the config.json in `description`, on the CPU, its weights allocated but not set.

    By way of `from_pretrained`, not `to_empty`: rotary tables and Gemma's scale of embeddings are buffers that no file
    holds, and would be left to chance.
    """
    config = AutoConfig.from_pretrained(description, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        shell = AutoModelForCausalLM.from_config(config)
    weights = {name: torch.empty(shape.shape, dtype=dtype) for name, shape in shell.named_parameters()}
    with _silenced():
        model = type(shell).from_pretrained(None, config=config, state_dict=weights, dtype=dtype)
    model.generation_config = GenerationConfig.from_pretrained(description, local_files_only=True)
    return model


def check_directory(path: Path) -> None:
    """Raise InputError for a directory without a config and weights that can be read without running code."""
    if not (path / "config.json").is_file():
        raise InputError(f"{path} holds no config.json. Give the directory of a Hugging Face model.")
    if not any(path.glob("*.safetensors")):
        raise InputError(
            f"{path} holds no *.safetensors file. Weights in other formats can run code when they are read; convert "
            "the model with `save_pretrained` first."
        )


def stored_dtype(path: Path) -> torch.dtype:
    """The dtype that most tensors of the directory have. Raises InputError for files that are not readable."""
    counts: Counter[str] = Counter()
    for file in sorted(path.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt") as tensors:
                counts.update(tensors.get_slice(name).get_dtype() for name in tensors.keys())  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise InputError(f"{file} is not a readable safetensors file: {error}. Fetch it again.") from None
    name = counts.most_common(1)[0][0] if counts else "nothing"
    if name not in DTYPES:
        raise InputError(
            f"{path} holds weights in {name}; training goes on from {', '.join(DTYPES)}. Give the model as it was "
            "before it was quantised."
        )
    return DTYPES[name]


def _check_weights(path: Path, found: dict[str, Any]) -> None:
    """transformers fills what is missing with random numbers and drops what it has no place for, with a log line."""
    missing = sorted(found["missing_keys"])
    mismatched = sorted(str(entry[0]) for entry in found["mismatched_keys"])
    spare = sorted(name for name in found["unexpected_keys"] if not name.endswith(IGNORED_WEIGHTS))
    for names, what in ((missing, "are missing"), (mismatched, "have other shapes"), (spare, "have no place in it")):
        if names:
            raise InputError(
                f"{path}: {len(names)} weights of the model in config.json {what}, the first is {names[0]}. "
                "The files belong to another model, or one of them was not fetched."
            )


@contextmanager
def _silenced() -> Iterator[None]:
    """eurolm has its own progress bars; transformers' would print for every model of a few megabytes. What its warnings
    say of weights is said here as an error."""
    before = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
