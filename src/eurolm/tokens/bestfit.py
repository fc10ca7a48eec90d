"""Cutting framed documents into rows: best-fit decreasing, or concatenate and chunk.

Both take framed lengths (tokens + 2 EODs) in the order wanted and return pieces and row starts as `pack_index`
describes them, without positions in the shard. Best-fit places items of equal size in groups, so that its cost grows
with the number of distinct sizes rather than of documents; the free space of open rows is a bit set in one integer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ENOUGH = 0.001
"""Share of padding up to which best-fit is left as it is."""


@dataclass(frozen=True)
class Pieces:
    """Pieces sorted by row. `item`: index of the document in the order given; `start`: framed position."""

    rows: NDArray[np.int64]
    """[rows + 1] first piece of each row."""
    item: NDArray[np.int64]
    start: NDArray[np.int64]
    length: NDArray[np.int64]


def concatenate(framed: NDArray[np.int64], row_tokens: int) -> Pieces:
    """One stream of all documents cut every `row_tokens`; only its last row has padding."""
    ends = np.cumsum(framed)
    begins, total = ends - framed, int(ends[-1]) if len(ends) else 0
    cuts = np.arange(row_tokens, total, row_tokens)
    later = np.searchsorted(begins, cuts)
    inside = ends[later - 1] > cuts
    bounds = np.insert(begins, later[inside], cuts[inside])
    item = np.insert(np.arange(len(framed)), later[inside], later[inside] - 1)
    rows = np.append(np.searchsorted(bounds, np.arange(0, total, row_tokens)), len(bounds))
    return Pieces(rows, item, bounds - begins[item], np.diff(bounds, append=total))


def best_fit(framed: NDArray[np.int64], row_tokens: int) -> Pieces:
    """Documents that fit a row stay whole; longer ones fill whole rows and their remainder is placed like a document,
    or cut once more where that saves rows (see `_poured`).

    A remainder of one position would be a closing EOD alone, with nothing to predict: it is left out, the last whole
    row predicts that EOD.
    """
    full = np.where(framed > row_tokens, framed // row_tokens, 0)
    rest = framed - full * row_tokens
    long_item = np.repeat(np.arange(len(framed)), full)
    nth = np.arange(len(long_item)) - np.repeat(np.cumsum(full) - full, full)
    short = np.flatnonzero((rest > 1) | (full == 0))
    place, part, begin, size = _poured(_place(rest[short], row_tokens), rest[short], full[short] > 0, row_tokens)
    row = np.concatenate([np.arange(len(long_item)), place + len(long_item)])
    item = np.concatenate([long_item, short[part]])
    start = np.concatenate([nth * row_tokens, full[short[part]] * row_tokens + begin])
    length = np.concatenate([np.full(len(long_item), row_tokens), size])
    order = np.argsort(row, kind="stable")
    return Pieces(_row_starts(row[order]), item[order], start[order], length[order])


def _poured(
    row: NDArray[np.int64], sizes: NDArray[np.int64], cuttable: NDArray[np.bool_], row_tokens: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, item, start and length of the pieces of items that were placed whole in `row`.

    Where most documents are one and a half rows long, no two remainders share a row and best-fit alone leaves much
    padding. They belong to documents that are cut anyway; so of the rows that hold nothing else, the emptiest are
    poured into one stream that is cut at row ends, as many of them as it takes.
    """
    item, start = np.arange(len(row)), np.zeros(len(row), np.int64)
    used = np.bincount(row, weights=sizes).astype(np.int64)
    space = row_tokens - used
    excess = int(space.sum()) - max(row_tokens - 1, int(ENOUGH * used.sum()))
    loose = np.flatnonzero((np.bincount(row, weights=~cuttable) == 0) & (space > 0))
    loose = loose[np.argsort(used[loose], kind="stable")]
    emptiest = loose[: np.searchsorted(np.cumsum(space[loose]), excess) + 1]
    if excess <= 0 or not len(emptiest):
        return row, item, start, sizes
    dissolved = np.zeros(len(used), np.bool_)
    dissolved[emptiest] = True
    kept, fluid = np.flatnonzero(~dissolved[row]), np.flatnonzero(dissolved[row])
    stream = concatenate(sizes[fluid], row_tokens)
    stream_row = np.repeat(np.arange(len(stream.rows) - 1), np.diff(stream.rows)) + int(np.count_nonzero(~dissolved))
    return (
        np.concatenate([(np.cumsum(~dissolved) - 1)[row[kept]], stream_row]),
        np.concatenate([kept, fluid[stream.item]]),
        np.concatenate([start[kept], stream.start]),
        np.concatenate([sizes[kept], stream.length]),
    )


def _row_starts(row: NDArray[np.int64]) -> NDArray[np.int64]:
    """[rows + 1] from the row number of each piece, ascending and without gaps."""
    rows = int(row[-1]) + 1 if len(row) else 0
    return np.searchsorted(row, np.arange(rows + 1)).astype(np.int64)


def _place(sizes: NDArray[np.int64], row_tokens: int) -> NDArray[np.int64]:
    """Row of each item, best-fit decreasing: the largest item first, into the open row where it leaves least.

    Of rows with equal space the one opened last is taken, of items of equal size the first.
    """
    order = np.argsort(-sizes, kind="stable")
    distinct, counts = np.unique(sizes, return_counts=True)
    placed: list[int] = []
    open_rows: list[list[int]] = [[] for _ in range(row_tokens + 1)]
    occupied = 0
    rows = 0
    for size, count in zip(distinct[::-1].tolist(), counts[::-1].tolist(), strict=True):
        left = count
        while left:
            fitting = occupied >> size
            if fitting:
                space = size + (fitting & -fitting).bit_length() - 1
                pool = open_rows[space]
                each = space // size
                wanted = -(-left // each)
                taken = pool[-wanted:]
                del pool[-wanted:]
                if not pool:
                    occupied ^= 1 << space
            else:
                space, each = row_tokens, row_tokens // size
                taken = list(range(rows, rows - (-left // each)))
                rows += len(taken)
            occupied |= _fill(taken, min(left, len(taken) * each), size, space, each, placed, open_rows)
            left -= min(left, len(taken) * each)
    result = np.empty(len(sizes), np.int64)
    result[order] = placed
    return result


def _fill(
    taken: list[int], count: int, size: int, space: int, each: int, placed: list[int], open_rows: list[list[int]]
) -> int:
    """Put `count` items of `size` into the rows `taken`, `each` per row and fewer in the last.

    Appends their rows to `placed`, files the rows under their new space, returns the bits of those spaces.
    """
    if each == 1:
        placed.extend(taken)
    else:
        placed.extend(row for row in taken for _ in range(each))
        del placed[len(placed) - (len(taken) * each - count) :]
    whole = count // each
    bits = 0
    for rows, used in ((taken[:whole], each * size), (taken[whole:], (count - whole * each) * size)):
        if rows and space > used:
            open_rows[space - used].extend(rows)
            bits |= 1 << (space - used)
    return bits
