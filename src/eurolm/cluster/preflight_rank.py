"""One rank of the preflight: `python -m eurolm.cluster.preflight_rank SPEC FD`. It says where it is before each step.

It never judges itself: a rank that hangs cannot report. Its supervisor reads the marks from FD and holds the clock.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from eurolm.cluster.preflight_host import host_facts, provider_facts
from eurolm.cluster.preflight_record import Spec

# Longer than all limits of the supervisor together: it is the one that decides.
LIBRARY_TIMEOUT = timedelta(hours=1)
REDUCED_ELEMENTS = 2**20
BANDWIDTH_BYTES = {"cpu": 2**24}
ACCELERATOR_BANDWIDTH_BYTES = 2**28
BANDWIDTH_REPEATS = 5

Mark = Callable[..., None]


def main(spec: Spec, descriptor: int) -> None:
    """Pass all marks; RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are in the environment."""
    faulthandler.register(signal.SIGUSR2, all_threads=False)
    local = int(os.environ["LOCAL_RANK"])

    def mark(name: str, **facts: Any) -> None:
        os.write(descriptor, json.dumps({"mark": name, **facts}).encode() + b"\n")

    if spec.masks:
        _bind(int(spec.masks[local], 16))
    import torch

    device = _device(local)
    from eurolm.machine.canary import gemm_canary

    mark("canary")
    canary = gemm_canary(device)
    mark("host", canary=asdict(canary))
    found = host_facts(spec, device) if local == 0 else {}
    mark("join", host=found)
    torch.distributed.init_process_group("gloo" if device.type == "cpu" else "nccl", timeout=LIBRARY_TIMEOUT)
    _collectives(device, mark)
    network = provider_facts() if local == 0 and spec.provider_proof and device.type != "cpu" else {}
    mark("end", provider=network)
    # Closing a group can itself hang, and there is nothing left to save.
    os._exit(0)


def _bind(mask: int) -> None:
    wanted = {core for core in range(mask.bit_length()) if mask >> core & 1}
    allowed = os.sched_getaffinity(0)
    if wanted & allowed:
        os.sched_setaffinity(0, wanted & allowed)


def _device(local: int) -> Any:
    import torch

    if not torch.accelerator.is_available():
        torch.set_num_threads(1)
        return torch.device("cpu")
    torch.accelerator.set_device_index(local)
    return torch.device(str(torch.accelerator.current_accelerator()), local)


def _collectives(device: Any, mark: Mark) -> None:
    import torch
    from torch import distributed

    world = distributed.get_world_size()
    mark("default group")
    default = _reduced(device, None)
    mark("second group: create", default=default)
    # DeepSpeed clones the world group, so that even ZeRO alone has a second one.
    second = distributed.new_group(list(range(world)), timeout=LIBRARY_TIMEOUT)
    mark("second group: all-reduce")
    both = _reduced(device, second) and _reduced(device, None)
    mark("clock", second=both)
    distributed.barrier()
    now = torch.tensor([time.time()], dtype=torch.float64, device=device)
    times = [torch.zeros_like(now) for _ in range(world)]
    distributed.all_gather(times, now)
    offset = float(now) - statistics.median(float(entry) for entry in times)
    mark("bandwidth", clock_offset_s=offset)
    mark("bandwidth", bandwidth=_bandwidth(device, world))


def _reduced(device: Any, group: Any) -> bool:
    """Sum of ranks over `group`; true if every element is right."""
    import torch
    from torch import distributed

    world = distributed.get_world_size()
    value = torch.full((REDUCED_ELEMENTS,), float(distributed.get_rank() + 1), device=device)
    distributed.all_reduce(value, group=group)
    # The comparison waits for the device, so a hang is inside this mark.
    return bool((value == world * (world + 1) / 2).all())


def _bandwidth(device: Any, world: int) -> dict[str, float]:
    """Bus bandwidth of all-reduce as nccl-tests count it, 2 (n-1)/n × bytes / seconds, in GB/s."""
    import torch
    from torch import distributed

    size = BANDWIDTH_BYTES.get(device.type, ACCELERATOR_BANDWIDTH_BYTES)
    value = torch.ones(size // 4, device=device)
    seconds = []
    for _ in range(1 + BANDWIDTH_REPEATS):
        distributed.barrier()
        started = time.perf_counter()
        distributed.all_reduce(value)
        value[:1].item()
        seconds.append(time.perf_counter() - started)
    typical = statistics.median(seconds[1:])
    return {"bytes": size, "seconds": typical, "gb_per_s": 2 * (world - 1) / world * size / typical / 1e9}


if __name__ == "__main__":
    main(Spec(**json.loads(sys.argv[1])), int(sys.argv[2]))
