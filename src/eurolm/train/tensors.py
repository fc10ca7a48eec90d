"""The tensors of a checkpoint: each rank writes what it owns, each rank reads what it needs, at any world size.

One safetensors file per rank, keys `<parameter>|<state>|<first element>`. No conversion, no pickle: DeepSpeed's own
files would need both (docs/decisions.md, 2026-11-28).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open

from eurolm.errors import InputError
from eurolm.model.tensor_file import entry_of, write_tensors
from eurolm.train.engine import Engine
from eurolm.train.shards import prepare_states, refresh_weights, segments

FILE = "rank-{rank:05d}.safetensors"


@dataclass(frozen=True)
class Stretch:
    """A saved stretch of a tensor: elements `start` … `end` - 1, under `key` of `file`."""

    start: int
    end: int
    file: str
    key: str


Index = dict[str, dict[str, list[Stretch]]]
"""Parameter → state → its stretches in order, without gap or overlap."""


def save_tensors(engine: Engine, place: Path) -> None:
    """Write what this rank owns to its file in `place`."""
    entries = {
        f"{segment.parameter}|{segment.state}|{segment.start}": entry_of(segment.values)
        for segment in segments(engine)
        if segment.owned
    }
    write_tensors(place / FILE.format(rank=dist.get_rank()), entries)


def load_tensors(engine: Engine, place: Path, steps: dict[str, int]) -> None:
    """Fill this rank's masters and optimizer states from `place` and make the weights anew; all ranks together.

    Raises InputError where the files hold other parameters than the model, or not all of them.
    """
    shared: list[Any] = [read_index(place) if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(shared)
    index: Index = shared[0]
    check_index(index, {name: _elements(parameter) for name, parameter in engine.model.named_parameters()}, place)
    prepare_states(engine, {name: [s for s in states if s != "master"] for name, states in index.items()}, steps)
    for segment in segments(engine):
        for first, values in read_range(place, index[segment.parameter][segment.state], segment.start, _end(segment)):
            segment.values.narrow(0, first - segment.start, len(values)).copy_(values)
    refresh_weights(engine)


def read_index(place: Path) -> Index:
    """What the files in `place` hold, from their headers. Raises InputError for a damaged file."""
    found: dict[str, dict[str, list[Stretch]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(place.glob("rank-*.safetensors")):
        try:
            with safe_open(path, "pt") as file:
                for key in file.keys():  # noqa: SIM118 - not a dict
                    name, state, start = key.rsplit("|", 2)
                    (length,) = file.get_slice(key).get_shape()
                    found[name][state].append(Stretch(int(start), int(start) + length, path.name, key))
        except Exception as error:
            raise InputError(f"{path} is no file of a eurolm checkpoint: {error}") from error
    return {
        name: {state: sorted(parts, key=lambda part: part.start) for state, parts in states.items()}
        for name, states in found.items()
    }


def check_index(index: Index, sizes: dict[str, int], place: Path) -> None:
    """Every parameter whole, once, and no other. Raises InputError naming the first that is not."""
    strange = sorted(index.keys() ^ sizes.keys())
    if strange:
        which = "lacks" if strange[0] in sizes else "has a tensor that the model lacks:"
        raise InputError(
            f"{place} {which} {strange[0]} ({len(strange)} differ): a file is missing, or it is a checkpoint of "
            "another model."
        )
    for name, states in index.items():
        for state, parts in states.items():
            edges = [0, *(part.end for part in parts)]
            if [part.start for part in parts] != edges[:-1] or edges[-1] != sizes[name]:
                raise InputError(
                    f"{place} does not hold all of {state} of {name}: {sum(p.end - p.start for p in parts):,} of "
                    f"{sizes[name]:,} elements. a file is missing, or it is a checkpoint of another model."
                )


def read_range(place: Path, parts: list[Stretch], start: int, end: int) -> Iterator[tuple[int, torch.Tensor]]:
    """(first element, values) of the saved stretches of a tensor that lie in [start, end), cut to it."""
    for part in parts:
        low, high = max(part.start, start), min(part.end, end)
        if low < high:
            with safe_open(place / part.file, "pt") as file:
                yield low, file.get_slice(part.key)[low - part.start : high - part.start]


def _elements(parameter: Any) -> int:
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def _end(segment: Any) -> int:
    return int(segment.start + len(segment.values))
