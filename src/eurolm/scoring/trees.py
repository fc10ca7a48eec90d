"""Texts with common beginnings in one row: what they share runs through the model once.

A row is a tree of tokens: it holds the first text, then of every further text only what departs from the texts before,
with its own positions; a mask lets each token see its own text alone. Choices of one question share the question,
questions of one task the examples before them, and the sides of a minimal pair what comes before the changed word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from eurolm.scoring.batches import batches_by_length, over_batches
from eurolm.scoring.loglikelihood import Queries, evaluating, score_queries
from eurolm.scoring.ranks import ALONE, Ranks

LONGEST_ROW = 4096
"""Tokens of a row that several texts share; a longer text still has a row of its own. Bounds the mask."""

PAIRS_PER_TOKEN = 2
"""Attention pairs that cost what the rest of the model costs for one token, as a multiple of its width: 6 by counting
FLOPs of a decoder layer (24 d² per token, 4 d per pair); attention reaches a third of a matrix product's speed."""


@dataclass(frozen=True)
class TokenText:
    """Ids of one text (int64), of which the last `scored` ones are asked for, at least one and not the first."""

    ids: np.ndarray
    scored: int

    @property
    def inputs(self) -> np.ndarray:
        """What runs through the model: all but the last token."""
        return self.ids[:-1]


@dataclass
class TreeRow:
    """A row while texts are added to it: inputs with positions, its branches, and the queries of its texts."""

    inputs: list[np.ndarray] = field(default_factory=list)
    positions: list[np.ndarray] = field(default_factory=list)
    branches: list[tuple[int, int, int]] = field(default_factory=list)
    """(start, end, place of the token before) of each piece of inputs; -1 where none is before."""
    length: int = 0
    texts: list[int] = field(default_factory=list)
    places: list[np.ndarray] = field(default_factory=list)
    """Where in the row the tokens of each text stand whose successors are asked for."""
    path: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """Places in the row of the last text's inputs."""

    @property
    def straight(self) -> bool:
        """Every piece continues the one before, so that the row needs no mask."""
        return all(start == before + 1 for start, _, before in self.branches)

    def add(self, index: int, text: TokenText, shared: int) -> None:
        """Add a text whose first `shared` inputs are those of the last one added."""
        own = text.inputs[shared:]
        new = np.arange(self.length, self.length + len(own))
        if len(own):
            before = int(self.path[shared - 1]) if shared else -1
            self.inputs.append(own)
            self.positions.append(np.arange(shared, len(text.inputs)))
            self.branches.append((self.length, self.length + len(own), before))
            self.length += len(own)
        self.path = np.concatenate((self.path[:shared], new))
        self.texts.append(index)
        self.places.append(self.path[len(self.path) - text.scored :])


def tree_rows(texts: Sequence[TokenText], width: int, branching: int, longest: int = LONGEST_ROW) -> list[TreeRow]:
    """Rows that hold every text once, those with common beginnings together where that saves work.

    `width` is the model's. Texts of more than `branching` inputs (0 for attention that takes no mask) have rows without
    branches: each text in them continues the one before, as the one-token answers of a question do.
    """
    # Big-endian bytes sort as ids do: a text follows the one it shares most with, and one that it continues.
    keys = [text.inputs.astype(">u4").tobytes() for text in texts]
    rows: list[TreeRow] = []
    last = np.empty(0, np.int64)
    longest_in_row = 0
    for index in sorted(range(len(texts)), key=lambda index: (keys[index], index)):
        inputs = texts[index].inputs
        shared = shared_prefix(last, inputs) if rows else 0
        new = len(inputs) - shared
        branches = max(longest_in_row, len(inputs)) <= branching
        joins = bool(rows) and shared == len(last) and (branches or rows[-1].straight)
        if rows and not joins and branches:
            # One row attends over all pairs of its places, two rows each over their own.
            more = (rows[-1].length + new) ** 2 - rows[-1].length ** 2 - len(inputs) ** 2
            joins = more <= shared * width * PAIRS_PER_TOKEN
        if not (joins and shared and rows[-1].length + new <= max(longest, len(inputs))):
            rows.append(TreeRow())
            shared = longest_in_row = 0
        rows[-1].add(index, texts[index], shared)
        last, longest_in_row = inputs, max(longest_in_row, len(inputs))
    return rows


def single_rows(texts: Sequence[TokenText]) -> list[TreeRow]:
    """Every text in a row of its own."""
    rows = []
    for index, text in enumerate(texts):
        rows.append(TreeRow())
        rows[-1].add(index, text, 0)
    return rows


def tree_scores(
    model: Any,
    texts: Sequence[TokenText],
    rows: Sequence[TreeRow],
    batch_tokens: int,
    advance: Callable[[float], None] | None = None,
    workers: int = 1,
    ranks: Ranks = ALONE,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per text, for each of its scored tokens: float32 log-probability (NaN where the logits are not finite) and
    whether it is the most probable one. On every rank; `advance` as for `row_logprobs`."""
    device = next(model.parameters()).device

    def score(batch: list[int]) -> tuple[np.ndarray, np.ndarray]:
        inputs, positions, mask, queries = batch_tables(texts, [rows[index] for index in batch])
        on_device = [torch.from_numpy(table).to(device) for table in (inputs, positions)]
        seen = None if mask is None else torch.from_numpy(mask).to(device)
        return score_queries(model, on_device[0], on_device[1], queries, seen)

    results: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0), np.empty(0))] * len(texts)
    lengths = [row.length for row in rows]
    with evaluating(model):
        batches = _batches(rows, lengths, batch_tokens)
        for batch, (logprobs, greedy) in over_batches(score, batches, lengths, workers, ranks, advance):
            order = _query_order([rows[index] for index in batch])
            start = 0
            in_order = np.empty_like(logprobs), np.empty_like(greedy)
            for table, found in zip(in_order, (logprobs, greedy), strict=True):
                table[order] = found
            for index in batch:
                for text in rows[index].texts:
                    own = slice(start, start + texts[text].scored)
                    results[text] = (in_order[0][own], in_order[1][own])
                    start = own.stop
    return results


def batch_tables(
    texts: Sequence[TokenText], rows: Sequence[TreeRow]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, Queries]:
    """Inputs and positions [rows, width], the bool mask [rows, 1, width, width] if any row needs one, the queries."""
    width = max(row.length for row in rows)
    inputs, positions = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.int64)
    mask = None if all(row.straight for row in rows) else np.stack([_mask(row, width) for row in rows])[:, None]
    for place, row in enumerate(rows):
        inputs[place, : row.length] = np.concatenate(row.inputs)
        positions[place, : row.length] = np.concatenate(row.positions)
        if mask is None:
            # Positions that began anew would be taken for another document. A row with branches is longer than any of
            # its texts, and positions after its end may be more than the model has.
            positions[place, row.length :] = np.arange(row.length, width)
    order = _query_order(rows)
    targets = np.concatenate([texts[text].ids[-texts[text].scored :] for row in rows for text in row.texts])
    return inputs, positions, mask, Queries(_flat(rows)[order], targets[order])


def shared_prefix(first: np.ndarray, second: np.ndarray) -> int:
    """Number of equal ids at the beginning of both arrays."""
    length = min(len(first), len(second))
    different = np.flatnonzero(first[:length] != second[:length])
    return int(different[0]) if len(different) else length


def _mask(row: TreeRow, width: int) -> np.ndarray:
    """[width, width]: a token sees its own text up to itself; padding sees itself, so that no softmax is empty."""
    mask = np.eye(width, dtype=bool)
    for start, end, before in row.branches:
        if before >= 0:
            mask[start:end] |= mask[before]
        mask[start:end, start:end] |= np.tri(end - start, dtype=bool)
    return mask


def _batches(rows: Sequence[TreeRow], lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Straight rows together, apart from those that need a mask, so that theirs run through the faster kernel."""
    groups = ([index for index, row in enumerate(rows) if row.straight is straight] for straight in (True, False))
    return [
        [group[place] for place in batch]
        for group in groups
        for batch in batches_by_length([lengths[index] for index in group], batch_tokens)
    ]


def _flat(rows: Sequence[TreeRow]) -> np.ndarray:
    """Place of each query in the batch, by row and text."""
    width = max(row.length for row in rows)
    return np.concatenate([number * width + places for number, row in enumerate(rows) for places in row.places])


def _query_order(rows: Sequence[TreeRow]) -> np.ndarray:
    """The order in which queries ascend by place."""
    return np.argsort(_flat(rows), kind="stable")
