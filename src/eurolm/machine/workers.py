"""One way to spread shards over processes: Dask, sized to what this host affords.

Results come back in the order of the items, whatever the number of workers; a function given here must be pure in
its item and write its output atomically, because Dask may run a task twice. A worker that dies costs the shard it was
on: its nanny starts another, and the shard is given out again.

Where a Slurm job has started a scheduler and workers on its nodes (`slurm/corpus.sbatch.j2`), EUROLM_DASK_SCHEDULER
names the scheduler's file and the same passes run there; certificates come from Dask's own DASK_* variables.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from eurolm.console import Reporter
from eurolm.errors import MachineError
from eurolm.machine.host import cores, memory_bytes

Item = TypeVar("Item")
Result = TypeVar("Result")

# One thread per worker and one thread per library inside it: the shards are the parallelism.
SINGLE_THREAD = {"POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
BYTES_PER_WORKER = 2 * 1024**3
ATTEMPTS = 3
SCHEDULER = "EUROLM_DASK_SCHEDULER"
JOIN_WITHIN_S = 300.0
"""How long the first worker of a job may take: a container that starts on many nodes at once takes minutes."""


@dataclass(frozen=True)
class _Placed:
    """A function that also tells on which host it ran."""

    function: Callable[[Any], Any]

    def __call__(self, item: Any) -> tuple[str, Any]:
        return socket.gethostname(), self.function(item)


def worker_count(wanted: int | None, items: int) -> int:
    """Workers to start: `wanted`, or one per core that memory affords; never more than there are items."""
    affordable = max(1, min(cores(), memory_bytes() // BYTES_PER_WORKER))
    return max(1, min(wanted or affordable, items))


class Workers:
    """The processes of one stage: started by the first pass that has use for two, and kept for the passes after it,
    because starting them takes 3 to 8 s on two cores. Those of a Slurm job are joined instead, whatever number is
    wanted here: its allocation decides. A context manager."""

    def __init__(self, wanted: int | None, reporter: Reporter) -> None:
        self._wanted, self._reporter = wanted, reporter
        self._open = ExitStack()
        self._client: Any = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def map(self, function: Callable[[Item], Result], items: Sequence[Item], *, label: str, unit: str) -> list[Result]:
        """Apply `function` to every item; results in item order. The first error raised by a task is raised here.

        Raises MachineError when an item killed its worker several times over.
        """
        with self._reporter.task(label, len(items), unit) as task:
            if self._client is None and self._few(len(items)):
                results = []
                for item in items:
                    results.append(function(item))
                    task.advance()
                return results
            return self._map_on_dask(function, items, label, unit, task.advance)

    def _few(self, items: int) -> bool:
        return items < 2 if SCHEDULER in os.environ else worker_count(self._wanted, items) == 1

    def _map_on_dask(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        label: str,
        unit: str,
        advance: Callable[[], None],
    ) -> list[Result]:
        from distributed import KilledWorker, as_completed

        client = self._started()
        futures = client.map(_Placed(function), items, key=label, pure=False)
        try:
            for future in as_completed(futures):
                if future.status == "error":
                    future.result()
                advance()
            placed = client.gather(futures)
        except KilledWorker as error:
            raise MachineError(
                f"a worker process died {ATTEMPTS} times over one shard ({error.task}), most likely out of memory. "
                "Finished shards are kept. Run the same command again with fewer workers, or on a larger machine."
            ) from None
        if SCHEDULER in os.environ:
            hosts = dict(sorted(Counter(host for host, _ in placed).items()))
            told = ", ".join(f"{count:,} on {host}" for host, count in hosts.items())
            self._reporter.say(f"  {label}: {unit} done {told}", label=label, hosts=hosts)
        return [result for _, result in placed]

    def _started(self) -> Any:
        if self._client is None:
            self._client = self._joined(Path(os.environ[SCHEDULER])) if SCHEDULER in os.environ else self._local()
        return self._client

    def _joined(self, scheduler: Path) -> Any:
        """The scheduler of this job, once a worker has come to it. Raises MachineError when none does."""
        from distributed import Client

        until = time.monotonic() + JOIN_WITHIN_S
        while not scheduler.is_file():
            if time.monotonic() > until:
                raise MachineError(
                    f"{SCHEDULER} = {scheduler} was not written within {JOIN_WITHIN_S:.0f} s: the scheduler did not "
                    "start. Its own words are in the log of this job."
                )
            time.sleep(0.2)
        client = self._open.enter_context(Client(scheduler_file=str(scheduler)))
        try:
            client.wait_for_workers(1, timeout=JOIN_WITHIN_S)
        except TimeoutError:
            raise MachineError(
                f"no worker came to the scheduler {client.scheduler.address} within {JOIN_WITHIN_S:.0f} s. "
                "Their own words are in the log of this job."
            ) from None
        return client

    def _local(self) -> Any:
        import dask
        from distributed import Client, LocalCluster

        count = worker_count(self._wanted, self._wanted or cores())
        settings = {
            "distributed.nanny.pre-spawn-environ": SINGLE_THREAD,
            "distributed.scheduler.allowed-failures": ATTEMPTS,
            "distributed.worker.daemon": True,
        }
        self._open.enter_context(dask.config.set(settings))
        cluster = self._open.enter_context(
            LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                dashboard_address=None,
                memory_limit=memory_bytes() // count,
                silence_logs=50,
            )
        )
        return self._open.enter_context(Client(cluster))


def map_shards(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None,
    label: str,
    unit: str,
    reporter: Reporter,
) -> list[Result]:
    """One pass with processes of its own; see `Workers.map`."""
    count = worker_count(workers, len(items))
    with Workers(count, reporter) as pool:
        return pool.map(function, items, label=label, unit=unit)
