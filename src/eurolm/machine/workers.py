"""One way to spread shards over processes: Dask, sized to what this host affords.

Results come back in the order of the items, whatever the number of workers; a function given here must be pure in
its item and write its output atomically, because Dask may run a task twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from eurolm.console import Reporter
from eurolm.machine.host import cores, memory_bytes

Item = TypeVar("Item")
Result = TypeVar("Result")

# One thread per worker and one thread per library inside it: the shards are the parallelism.
SINGLE_THREAD = {"POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
BYTES_PER_WORKER = 2 * 1024**3


def worker_count(wanted: int | None, items: int) -> int:
    """Workers to start: `wanted`, or one per core that memory affords; never more than there are items."""
    affordable = max(1, min(cores(), memory_bytes() // BYTES_PER_WORKER))
    return max(1, min(wanted or affordable, items))


def map_shards(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None,
    label: str,
    unit: str,
    reporter: Reporter,
) -> list[Result]:
    """Apply `function` to every item; results in item order. The first error raised by a task is raised here."""
    count = worker_count(workers, len(items))
    with reporter.task(label, len(items), unit) as task:
        if count == 1:
            results = []
            for item in items:
                results.append(function(item))
                task.advance()
            return results
        return _map_on_dask(function, items, count, task.advance)


def _map_on_dask(
    function: Callable[[Item], Result], items: Sequence[Item], count: int, advance: Callable[[], None]
) -> list[Result]:
    import dask
    from distributed import Client, LocalCluster, as_completed

    settings = {
        "distributed.nanny.pre-spawn-environ": SINGLE_THREAD,
        "distributed.scheduler.allowed-failures": 3,
        "distributed.worker.daemon": True,
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            dashboard_address=None,
            memory_limit=memory_bytes() // count,
            silence_logs=50,
        ) as cluster,
        Client(cluster) as client,
    ):
        futures = client.map(function, items, pure=False)
        for future in as_completed(futures):
            if future.status == "error":
                future.result()
            advance()
        return list(client.gather(futures))
