"""From pieces to arrays: inputs, positions and targets of a batch.

The pieces of a row lie one after another, and the EOD that opens a document is the EOD that closed its predecessor in
the shard, so a row is a join of byte ranges plus padding, one id longer than the row: inputs are its first T ids,
targets its last T. Masks and positions are computed for all pieces of the batch at once; ids stay in the shards' own
type until the arrays are made, because fresh memory is what a batch costs most.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eurolm.errors import InputError
from eurolm.mixture.opened import OpenShard
from eurolm.tokens.pack_index import PIECE

IGNORED = -100
"""Target that no loss counts, as torch.nn.functional.cross_entropy has it."""


@dataclass(frozen=True)
class Batch:
    """Rows ready for a model. All arrays int64 [rows, row_tokens]."""

    input_ids: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    """From 0 in every document, and in the padding."""
    targets: NDArray[np.int64]
    """Id to predict after each input; -100 after a document's last EOD and in the padding."""


@dataclass(frozen=True)
class RowPlace:
    """Where a row is: its shard and its number in the shard's index."""

    shard: OpenShard
    row: int


def assemble(places: Sequence[RowPlace], row_tokens: int, eod_id: int) -> Batch:
    """Read the rows and lay them out. Raises InputError when a shard ends before a piece does."""
    raw = [place.shard.index.pieces(place.row) for place in places]
    pieces = np.frombuffer(b"".join(raw), PIECE)
    counts = np.array([len(data) // PIECE.itemsize for data in raw])
    ids = _read_ids(places, pieces, counts, row_tokens, eod_id)
    row = np.repeat(np.arange(len(places)), counts)
    length = pieces["length"].astype(np.int64)
    filled = np.bincount(row, weights=length, minlength=len(places)).astype(np.int64)
    begin = np.cumsum(length) - length - np.repeat(np.cumsum(filled) - filled, counts)
    flat_begin = row * row_tokens + begin
    inputs = ids[:, :-1].astype(np.int64)
    inputs.reshape(-1)[flat_begin[pieces["begins"]]] = eod_id
    targets = ids[:, 1:].astype(np.int64)
    targets.reshape(-1)[(flat_begin + length - 1)[pieces["ends"]]] = IGNORED
    for number in np.flatnonzero(filled < row_tokens).tolist():
        inputs[number, filled[number] :] = eod_id
        targets[number, filled[number] :] = IGNORED
    return Batch(inputs, _positions(flat_begin, filled, row_tokens), targets)


def _read_ids(
    places: Sequence[RowPlace], pieces: NDArray[np.void], counts: NDArray[np.int64], row_tokens: int, eod_id: int
) -> NDArray[np.integer[Any]]:
    """Ids of each row and the one after its end, [rows, row_tokens + 1] in the shards' type; padding is EOD."""
    ids = np.full((len(places), row_tokens + 1), eod_id, np.result_type(*{place.shard.dtype for place in places}))
    # A piece that ends its document has no target after its last id; any other one needs the id that follows, and is
    # the last of its row.
    width = np.repeat([place.shard.dtype.itemsize for place in places], counts)
    starts = (pieces["position"] * width).tolist()
    sizes = ((pieces["length"] + ~pieces["ends"]) * width).tolist()
    last = 0
    for number, (place, count) in enumerate(zip(places, counts.tolist(), strict=True)):
        first, last = last, last + count
        read = np.frombuffer(_join(place.shard, starts[first:last], sizes[first:last]), place.shard.dtype)
        ids[number, : len(read)] = read
    return ids


def _join(shard: OpenShard, starts: list[int], sizes: list[int]) -> bytes:
    """Byte ranges of a shard, one after another. One that starts before the file opens its first document, whose EOD
    no predecessor has closed: `assemble` writes the EODs that open documents anyway."""
    descriptor, missing = shard.file.fileno(), bytes(shard.dtype.itemsize)
    data = b"".join(
        [
            os.pread(descriptor, size, start) if start >= 0 else missing + os.pread(descriptor, size - len(missing), 0)
            for start, size in zip(starts, sizes, strict=True)
        ]
    )
    if len(data) != sum(sizes):
        raise InputError(f"{shard.path} ends inside a row: it was cut short while being read.")
    return data


def _positions(flat_begin: NDArray[np.int64], filled: NDArray[np.int64], row_tokens: int) -> NDArray[np.int64]:
    """int64 [rows, row_tokens]: distance to the begin of the piece or padding each position lies in.

    A running sum of ones that falls back to 0 at every begin, in one array.
    """
    padding = (np.arange(len(filled)) * row_tokens + filled)[filled < row_tokens]
    begins = np.sort(np.concatenate([flat_begin, padding]))
    steps = np.ones(len(filled) * row_tokens, np.int64)
    steps[begins[1:]] -= np.diff(begins)
    steps[0] = 0
    return np.cumsum(steps, out=steps).reshape(len(filled), row_tokens)
