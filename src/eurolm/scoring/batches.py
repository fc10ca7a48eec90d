"""Batches: formed by length, spread over ranks, and on each rank over threads that compute with one core each.

On a CPU threads over batches beat splitting every small operation over the cores: there is no barrier per operation (a
third of the CPU time on two cores that other processes also used), and no figure depends on the number of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from eurolm.scoring.ranks import Ranks

Result = TypeVar("Result")


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices grouped longest first, each group within `batch_tokens` padded tokens (one index at least)."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= batch_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def over_batches(
    work: Callable[[list[int]], Result],
    batches: Sequence[list[int]],
    lengths: Sequence[int],
    workers: int,
    ranks: Ranks,
    advance: Callable[[float], None] | None = None,
) -> Iterator[tuple[list[int], Result]]:
    """Each batch with its result, in order, on every rank.

    Rank r works on batches r, r + count, … in `workers` threads: `work` must be safe in several. The first error drops
    the batches not yet begun and is raised on all ranks. `advance` is called with the share of this rank's `lengths`
    just done.
    """
    own = batches[ranks.rank :: ranks.count]
    total = max(1, sum(lengths[index] for batch in own for index in batch))

    def compute() -> list[Result]:
        results = []
        for batch, result in zip(own, _in_threads(work, own, workers), strict=True):
            results.append(result)
            if advance is not None:
                advance(sum(lengths[index] for index in batch) / total)
        return results

    shares = ranks.together(compute)
    for number, batch in enumerate(batches):
        yield batch, shares[number % ranks.count][number // ranks.count]


def _in_threads(work: Callable[[list[int]], Result], batches: Sequence[list[int]], workers: int) -> Iterator[Result]:
    if workers == 1 or len(batches) < 2:
        yield from map(work, batches)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="score")
    try:
        yield from pool.map(work, batches)
    finally:
        pool.shutdown(cancel_futures=True)
