"""From weighted pieces to the words that merges are learnt on: token ids, cut where nothing may merge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import numpy as np

from eurolm.corpus.text.mixing import mix64
from eurolm.tokenizer.extension.base import Base, bare, encoded
from eurolm.tokenizer.extension.learn import Ints, Words
from eurolm.tokenizer.extension.spelling import borders


def words(base: Base, model: Mapping[str, Any], weighted: Mapping[str, int]) -> Words:
    """The pieces as ids of `model`, the equal ones added up, in an order of their own."""
    ordered = sorted(weighted)
    ids, starts = in_line(encoded(bare(model), ordered))
    weights = np.array([weighted[piece] for piece in ordered], np.int64)
    if not base.byte_level and len(ids):
        owner = np.repeat(np.arange(len(ordered)), np.diff(starts))
        cuts = np.flatnonzero(borders(ids, model["vocab"], model.get("unk_token")) | (owner[1:] != owner[:-1])) + 1
        starts = np.concatenate([[0], cuts, [len(ids)]])
        weights = weights[owner[starts[:-1]]]
    return _distinct(ids, starts, weights)


def in_line(lists: Iterable[list[int]]) -> tuple[Ints, Ints]:
    """All ids in one line, and where each list starts, with the end (int64 both)."""
    held = list(lists)
    ids = np.fromiter(chain.from_iterable(held), np.int64)
    return ids, np.cumsum(np.array([0, *map(len, held)], np.int64))


def _distinct(ids: Ints, starts: Ints, weights: Ints) -> Words:
    """Words of two tokens or more, each once. Told apart by a 64-bit hash: among ten million words two are taken for
    one with a probability of 3e-6."""
    lengths = np.diff(starts)
    long = np.flatnonzero(lengths > 1)
    if not len(long):
        return Words(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int64))
    place = np.arange(len(ids)) - np.repeat(starts[:-1], lengths)
    hashed = mix64(ids.astype(np.uint64) + mix64(place.astype(np.uint64) + np.uint64(1)))
    before = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashed)])
    hashes = before[starts[1:]] - before[starts[:-1]]
    _, first, group = np.unique(hashes[long], return_index=True, return_inverse=True)
    totals = np.zeros(len(first), np.int64)
    np.add.at(totals, group, weights[long])
    order = np.argsort(first)
    kept, totals = long[first[order]], totals[order]
    spans = lengths[kept]
    ends = np.cumsum(spans)
    index = np.repeat(starts[kept] - (ends - spans), spans) + np.arange(int(ends[-1]))
    return Words(ids[index], np.concatenate([[0], ends]).astype(np.int64), totals)
