"""How many worker processes the corpus job has on each of its nodes, and how much memory each may use."""

from __future__ import annotations

from dataclasses import dataclass

from eurolm.cluster.profile import ClusterProfile, Queue
from eurolm.machine.workers import BYTES_PER_WORKER

RESERVED_SHARE = 0.1
"""Of a node's memory, for the scheduler, the stage that gives out the work, and the page cache of a RAM disk."""


@dataclass(frozen=True)
class NodeWorkers:
    """Workers of one node."""

    cores: int
    """Cores to ask for."""
    count: int
    """Processes, one thread each."""
    bytes_each: int
    """Memory limit of one."""


def node_workers(profile: ClusterProfile, queue: Queue) -> NodeWorkers:
    """One process per core of a node of `queue`, or as many as its memory affords."""
    cores = queue.cores_per_node or profile.cores.usable
    gigabytes = queue.memory_gb_per_node
    memory = gigabytes * 10**9 if gigabytes else profile.cores.memory_bytes
    if memory is None:
        return NodeWorkers(cores, cores, BYTES_PER_WORKER)
    room = int(memory * (1 - RESERVED_SHARE))
    count = max(1, min(cores, room // BYTES_PER_WORKER))
    return NodeWorkers(cores, count, room // count)
