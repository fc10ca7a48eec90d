"""Batches spread over threads of one process, each computing with one core.

On a CPU this beats splitting every small operation over the cores: there is no barrier per operation (a third of the
CPU time on two cores that other processes also used), and no figure depends on the number of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def over_batches(
    work: Callable[[Batch], Result], batches: Sequence[Batch], workers: int
) -> Iterator[tuple[Batch, Result]]:
    """Each batch with its result, in order. `work` must be safe to run in several threads; the first error is raised
    and batches not yet begun are dropped."""
    if workers == 1 or len(batches) < 2:
        yield from ((batch, work(batch)) for batch in batches)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="score")
    try:
        yield from zip(batches, pool.map(work, batches), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)
