"""The model of a rank before DeepSpeed takes it: one copy per node, whatever the number of ranks.

Eight ranks that each build or load 30 billion weights fill a node of 512 GB. So one rank of a node writes the initial
weights to a file in memory (or all take one beside the run, where memory is short) and all map it. A run that resumes
gets its weights from the checkpoint: its model is built without any.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from eurolm.artifacts.atomic import PARTIAL_MARK
from eurolm.model.initial import write_initial
from eurolm.model.load import empty_model, open_model
from eurolm.model.size import count, read_shape, shape_of
from eurolm.tokenizer.load import LoadedTokenizer
from eurolm.train import staging, store
from eurolm.train.inputs import RankSpec
from eurolm.train.metrics import METRICS, RunLog

INITIAL = "initial"


@contextmanager
def model_to_train(spec: RankSpec, tokenizer: LoadedTokenizer, device: torch.device, log: RunLog) -> Iterator[Any]:
    """The model in bf16 on the CPU, while the block runs: afterwards the files it is mapped from are gone."""
    if spec.resume is not None:
        model = empty_model(spec.resume / store.MODEL, torch.bfloat16)
        _declare_context(model, spec)
        yield model
        return
    place, mine = _place(spec, tokenizer, device)
    if mine:
        shutil.rmtree(place, ignore_errors=True)
        record = write_initial(
            spec.model, tokenizer.vocab_size, tokenizer.eod_id, spec.tokenizer, place, torch.bfloat16
        )
        if dist.get_rank() == 0:
            log.write(METRICS, "initial", 0, samples=0, **asdict(record))
    dist.barrier()
    model = open_model(place, torch.bfloat16)
    _declare_context(model, spec)
    yield model
    dist.barrier()
    if mine:
        shutil.rmtree(place)


def _declare_context(model: Any, spec: RankSpec) -> None:
    """The exported model must not declare less than it is trained on: a continued one, or a fork with longer rows."""
    longest = max(phase.row_tokens for phase in spec.mixture.phases)
    asked = spec.model.max_position_tokens if spec.model.use is None else 0
    model.config.max_position_embeddings = max(model.config.max_position_embeddings, longest, asked)


def _place(spec: RankSpec, tokenizer: LoadedTokenizer, device: torch.device) -> tuple[Path, bool]:
    """Where the initial weights are written, and whether this rank writes them."""
    use = spec.model.use
    shape = shape_of(spec.model, tokenizer.vocab_size) if use is None else read_shape(use, tokenizer.vocab_size)
    room = torch.tensor([staging.fits_in_memory(2 * count(shape).total)], dtype=torch.int64, device=device)
    dist.all_reduce(room, op=dist.ReduceOp.MIN)
    if room.item():
        place = staging.memory_home(spec.run_dir) / INITIAL
        place.parent.parent.mkdir(mode=0o700, exist_ok=True)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        return place, int(os.environ["LOCAL_RANK"]) == 0
    return spec.run_dir / f"{INITIAL}{PARTIAL_MARK}{spec.attempt}", dist.get_rank() == 0
