"""The weights training starts from, written once for all ranks.

Tensor by tensor: the writing process holds a few of them at a time, and the ranks of a node then map the files, so a
node holds one copy however many devices it has (eight ranks with a copy of a 30B model each need more than a LUMI node
has).
"""

from __future__ import annotations

import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from eurolm.artifacts.atomic import PARTIAL_MARK, fsync_path, write_json
from eurolm.config.architecture import ModelConfig
from eurolm.errors import InputError, MachineError
from eurolm.machine.host import cores
from eurolm.model.build import check_eod, initial_tensor, name_special_ids
from eurolm.model.families import check_continuable, transformers_config
from eurolm.model.load import load_model, stored_dtype
from eurolm.model.records import InitialRecord, VocabularyRecord
from eurolm.model.tensor_file import Entry, write_model
from eurolm.model.vocabulary import embedding_matrices, fitted
from eurolm.tokenizer.load import load

AHEAD = 8
"""Most tensors in the making: one core draws 130 million normal numbers a second, four minutes for a 30B model."""
RECORD = "initial.json"
"""File beside the weights that says where they come from."""


@dataclass(frozen=True)
class _Weights:
    """A model without its weights, and how to get each of them."""

    model: Any
    shapes: Mapping[str, torch.Size]
    tensor: Callable[[str, torch.dtype], torch.Tensor]
    record: VocabularyRecord | None


def write_initial(
    config: ModelConfig, vocab_size: int, eod_id: int, tokenizer_dir: Path, place: Path, dtype: torch.dtype
) -> InitialRecord:
    """Write the model of `config` to `place` as a Hugging Face directory in `dtype`, whole or not at all.

    The same weights as `build_model`'s, rounded to `dtype`. Raises ConfigError for impossible sizes, InputError for a
    directory that cannot be continued and for a place that is taken, MachineError where it cannot be written.
    """
    check_eod(vocab_size, eod_id)
    weights = _seeded(config, vocab_size, eod_id) if config.use is None else _continued(config.use, tokenizer_dir)
    name_special_ids(weights.model, eod_id)
    record = InitialRecord(
        model=f"seed {config.seed}" if config.use is None else str(config.use),
        parameters=sum(shape.numel() for shape in weights.shapes.values()),
        dtype=str(dtype).removeprefix("torch."),
        vocabulary=weights.record,
    )
    with _published(place) as partial:
        _write_weights(weights, partial, dtype)
        weights.model.config.dtype = dtype
        weights.model.config.architectures = [type(weights.model).__name__]
        weights.model.config.save_pretrained(partial)
        weights.model.generation_config.save_pretrained(partial)
        write_json(partial / RECORD, asdict(record))
    return record


def _seeded(config: ModelConfig, vocab_size: int, eod_id: int) -> _Weights:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(transformers_config(config, vocab_size, eod_id))
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    return _Weights(model, shapes, lambda name, dtype: initial_tensor(config, name, shapes[name]).to(dtype), None)


def _continued(use: Path, tokenizer_dir: Path) -> _Weights:
    # In the dtype of the files, so that the tensors are mapped from them and each is read when it is written.
    model = load_model(use, stored_dtype(use))
    check_continuable(model.config, use)
    matrices = embedding_matrices(model)
    plan = fitted(use, load(tokenizer_dir), matrices[0].shape[0])
    parameters = dict(model.named_parameters())
    resized = {name for name, parameter in parameters.items() if any(parameter is one for one in matrices)}
    rows = plan.record.rows_after
    model.config.vocab_size = rows
    # A resume is exact because no layer draws random numbers: nothing random is in a checkpoint.
    model.config.attention_dropout = 0.0

    def tensor(name: str, dtype: torch.dtype) -> torch.Tensor:
        return plan.rows_of(parameters[name], dtype) if name in resized else parameters[name].detach().to(dtype)

    shapes = {
        name: torch.Size((rows, parameter.shape[1])) if name in resized else parameter.shape
        for name, parameter in parameters.items()
    }
    return _Weights(model, shapes, tensor, plan.record)


def _write_weights(weights: _Weights, place: Path, dtype: torch.dtype) -> None:
    """The weights in `dtype`, each made when its turn comes."""
    made = _made_ahead(lambda name: weights.tensor(name, dtype), list(weights.shapes))
    write_model(place, {name: Entry(dtype, tuple(shape), made.__next__) for name, shape in weights.shapes.items()})


def _made_ahead(make: Callable[[str], torch.Tensor], names: list[str]) -> Iterator[torch.Tensor]:
    """The tensors in the order of `names`, the next few made while one is written."""
    threads = min(AHEAD, cores())
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(make, name) for name in names[:threads])
        for name in [*names[threads:], *[None] * len(waiting)]:
            done = waiting.popleft().result()
            if name is not None:
                waiting.append(pool.submit(make, name))
            yield done


@contextmanager
def _published(place: Path) -> Iterator[Path]:
    """A directory to fill that becomes `place` when it is done; leftovers of killed attempts are removed."""
    if place.exists():
        raise InputError(f"{place} exists already: initial weights are written once.")
    place.parent.mkdir(parents=True, exist_ok=True)
    for leftover in place.parent.glob(f"{place.name}{PARTIAL_MARK}*"):
        shutil.rmtree(leftover)
    partial = place.with_name(f"{place.name}{PARTIAL_MARK}{uuid.uuid4().hex[:12]}")
    partial.mkdir()
    try:
        yield partial
        for file in partial.iterdir():
            fsync_path(file)
        partial.rename(place)
        fsync_path(place.parent)
    except OSError as error:
        raise MachineError(f"initial weights cannot be written to {place}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
