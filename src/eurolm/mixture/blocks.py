"""Which source each sample of a phase comes from: shares that are exact over every block of 4,096 samples.

Weights become integers that sum to 4,096 by largest remainder. Every block holds each source exactly so many times, in
a seeded order of its own. Within a block the samples of a source are counted, so the n-th draw of a source is known for
any sample without looking at earlier blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eurolm.tokens.order import seed64, shuffled

BLOCK_SAMPLES = 4096


@dataclass(frozen=True)
class Block:
    """One block in sample order."""

    source: NDArray[np.int64]
    """[4096] number of the source of each sample."""
    nth: NDArray[np.int64]
    """[4096] how many earlier samples of this block have the same source."""


def quantise(weights: Mapping[str, float]) -> dict[str, int]:
    """Samples per block for each source, in proportion to its weight, summing to `BLOCK_SAMPLES`.

    Largest remainder; ties go to the earlier name. `weights` are non-negative with a positive sum.
    """
    total = sum(weights.values())
    exact = {name: weight / total * BLOCK_SAMPLES for name, weight in weights.items()}
    counts = {name: int(share) for name, share in exact.items()}
    missing = BLOCK_SAMPLES - sum(counts.values())
    by_remainder = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    for name in by_remainder[:missing]:
        counts[name] += 1
    return counts


def block(counts: NDArray[np.int64], seed: int, phase: int, number: int) -> Block:
    """Block `number` of phase `phase`. `counts`: int64 [sources], samples per block of each source."""
    order = shuffled(BLOCK_SAMPLES, seed64("block", seed, phase, number))
    slots = np.repeat(np.arange(len(counts)), counts)
    source = np.empty(BLOCK_SAMPLES, np.int64)
    source[order] = slots
    nth = np.empty(BLOCK_SAMPLES, np.int64)
    by_source = np.argsort(source, kind="stable")
    nth[by_source] = np.arange(BLOCK_SAMPLES) - np.repeat(np.cumsum(counts) - counts, counts)
    return Block(source, nth)
