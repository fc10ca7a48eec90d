"""Two texts with a common beginning in one row: the beginning runs through the model once.

A row holds the first text and then the second from where it departs, with its own positions; a mask lets the branch
see the shared beginning and itself. On minimal pairs, which differ by a word, that saves a quarter of the tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from eurolm.scoring.loglikelihood import IGNORED, batches_by_length, evaluating, token_logprobs
from eurolm.scoring.workers import over_batches

MASKED_ATTENTION = ("eager", "sdpa")
"""Attention kernels of transformers that take a mask of any shape."""


@dataclass(frozen=True)
class BranchedRow:
    """Token ids of two texts (int64, at least one each) and the length of their common beginning."""

    first: np.ndarray
    second: np.ndarray
    shared: int

    @property
    def length(self) -> int:
        """Inputs of the row: EOD and the first text, then the branch, which starts with the last shared input."""
        return len(self.first) + len(self.second) - self.shared


def branched_logprobs(
    model: Any,
    rows: Sequence[BranchedRow],
    eod_id: int,
    batch_tokens: int,
    advance: Callable[[float], None] | None = None,
    workers: int = 1,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Float32 log-probabilities of every token of both texts of each row, in the order of `rows`.

    Equal to scoring the texts apart. `workers` batches run at once; `advance` is called with the share of all tokens
    just done.
    """
    device = next(model.parameters()).device
    total = max(1, sum(row.length for row in rows))

    def score(batch: list[int]) -> np.ndarray:
        inputs, targets, positions, mask = (
            torch.from_numpy(table).to(device) for table in _tables([rows[index] for index in batch], eod_id)
        )
        return token_logprobs(model, inputs, positions, targets, mask).cpu().numpy()

    results: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0), np.empty(0))] * len(rows)
    batches = batches_by_length([row.length for row in rows], batch_tokens)
    with evaluating(model):
        for batch, table in over_batches(score, batches, workers):
            for place, index in enumerate(batch):
                row = rows[index]
                first, branch = np.split(table[place, : row.length], [len(row.first)])
                results[index] = (first.copy(), np.concatenate((first[: row.shared], branch)))
            if advance is not None:
                advance(sum(rows[index].length for index in batch) / total)
    return results


def _tables(rows: Sequence[BranchedRow], eod_id: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, targets, positions [rows, width] and the bool mask [rows, 1, width, width] of one batch."""
    width = max(row.length for row in rows)
    shape = (len(rows), width)
    inputs, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    targets = np.full(shape, IGNORED, np.int64)
    branch = np.zeros(shape, bool)
    for place, row in enumerate(rows):
        end = len(row.first)
        inputs[place, :end] = np.concatenate(([eod_id], row.first[:-1]))
        inputs[place, end : row.length] = np.concatenate(([eod_id], row.second[:-1]))[row.shared :]
        targets[place, : row.length] = np.concatenate((row.first, row.second[row.shared :]))
        positions[place, :end] = np.arange(end)
        positions[place, end : row.length] = np.arange(row.shared, len(row.second))
        branch[place, end:] = True
    shared = np.array([row.shared for row in rows])[:, None, None]
    earlier = np.tri(width, dtype=bool)[None]
    # A token sees earlier ones of its own text; the branch also sees the beginning both share.
    of_beginning = (np.arange(width)[None, None, :] < shared) & ~branch[:, None, :]
    mask = earlier & ((branch[:, :, None] == branch[:, None, :]) | of_beginning)
    return inputs, targets, positions, mask[:, None]
