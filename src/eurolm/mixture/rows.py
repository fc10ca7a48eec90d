"""From pieces to arrays: inputs, positions and targets of a batch.

The pieces of a row lie one after another, and the EOD that opens a document is the EOD that closed its predecessor in
the shard, so a row is a join of byte ranges plus padding, one id longer than the row: inputs are its first T ids,
targets its last T. Masks and positions are computed for all pieces of the batch at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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
    inputs = ids[:, :-1].copy()
    inputs.reshape(-1)[flat_begin[pieces["begins"]]] = eod_id
    targets = ids[:, 1:].copy()
    targets.reshape(-1)[(flat_begin + length - 1)[pieces["ends"]]] = IGNORED
    for number in np.flatnonzero(filled < row_tokens).tolist():
        targets[number, filled[number] :] = IGNORED
    return Batch(inputs, _positions(flat_begin, filled, len(places), row_tokens), targets)


def _read_ids(
    places: Sequence[RowPlace], pieces: NDArray[np.void], counts: NDArray[np.int64], row_tokens: int, eod_id: int
) -> NDArray[np.int64]:
    """Ids of each row and the one after its end, int64 [rows, row_tokens + 1]; padding is EOD."""
    ids = np.full((len(places), row_tokens + 1), eod_id, np.int64)
    # A piece that ends its document has no target after its last id; any other one needs the id that follows.
    wanted = (pieces["length"] + ~pieces["ends"]).tolist()
    ranges = list(zip(pieces["position"].tolist(), wanted, strict=True))
    bounds = [0, *np.cumsum(counts).tolist()]
    for number, (place, (first, last)) in enumerate(zip(places, pairwise(bounds), strict=True)):
        shard, size, descriptor = place.shard, place.shard.dtype.itemsize, place.shard.file.fileno()
        data = b"".join(
            [
                os.pread(descriptor, count * size, start * size) if start >= 0 else _first_of_file(shard, count, eod_id)
                for start, count in ranges[first:last]
            ]
        )
        read = np.frombuffer(data, shard.dtype)
        if len(read) != sum(wanted[first:last]):
            raise InputError(f"{shard.path} ends inside a row: it was cut short while being read.")
        ids[number, : len(read)] = read
    return ids


def _first_of_file(shard: OpenShard, count: int, eod_id: int) -> bytes:
    """The first document has no predecessor whose EOD could open it."""
    return np.array([eod_id], shard.dtype).tobytes() + os.pread(
        shard.file.fileno(), (count - 1) * shard.dtype.itemsize, 0
    )


def _positions(
    flat_begin: NDArray[np.int64], filled: NDArray[np.int64], rows: int, row_tokens: int
) -> NDArray[np.int64]:
    """int64 [rows, row_tokens]: distance to the begin of the piece or padding each position lies in."""
    padding = (np.arange(rows) * row_tokens + filled)[filled < row_tokens]
    begins = np.sort(np.concatenate([flat_begin, padding]))
    lengths = np.diff(begins, append=rows * row_tokens)
    flat = np.arange(rows * row_tokens) - np.repeat(begins, lengths)
    return flat.reshape(rows, row_tokens)
