"""Several devices and nodes score together: one process per device, all running the same command.

The environment of a launcher (RANK, WORLD_SIZE, MASTER_ADDR, …) tells a process that it is one of several; `srun` with
slurm/rank.sh or `start_ranks` set it. `accelerate` joins them and picks the device. Only scores travel, a few bytes per
item, so they go over gloo on every machine: no fabric library has to load for an evaluation.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch

from eurolm.errors import MachineError
from eurolm.scoring.ranks import ALONE, Ranks
from eurolm.train.lifeline import PARENT, die_with_parent
from eurolm.train.processes import free_port

PATIENCE = timedelta(hours=12)
"""How long a rank waits for the others to finish their share of a task. A dead rank closes its connections at once."""


def accelerators() -> int:
    """Devices this process sees; 0 on a machine without."""
    return torch.cuda.device_count()


def is_rank() -> bool:
    """A launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def join_ranks() -> Ranks:
    """This process among those its launcher started; ALONE where it started one. Sets the current device.

    Raises MachineError where the others cannot be reached.
    """
    if not is_rank():
        return ALONE
    if os.environ.get(PARENT) == str(os.getppid()):
        die_with_parent()
    from accelerate import PartialState
    from accelerate.utils import gather_object

    try:
        state = PartialState(cpu=not torch.cuda.is_available(), backend="gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError, torch.distributed.DistError) as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise MachineError(f"rank {os.environ.get('RANK')} did not reach the others at {where}: {error}") from None

    def gather(value: Any) -> list[Any]:
        found: list[Any] = gather_object([value])
        return found

    return Ranks(state.process_index, state.num_processes, gather)


def start_ranks(command: Sequence[str], count: int, tick: Callable[[], None] = lambda: None) -> int:
    """Run `command` as `count` ranks on this host to their end; the exit status of the first that failed, else 0.

    They share this process's terminal. When one fails, the others, which wait for it, are ended.
    """
    port = str(free_port())
    processes = [
        subprocess.Popen(
            list(command),
            env={
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(count),
                "LOCAL_WORLD_SIZE": str(count),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                PARENT: str(os.getpid()),
                "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
            },
        )
        for rank in range(count)
    ]
    try:
        while True:
            codes = [process.poll() for process in processes]
            tick()
            failed = [code for code in codes if code not in (None, 0)]
            if failed:
                return int(failed[0] or 0)
            if all(code == 0 for code in codes):
                return 0
            time.sleep(0.1)
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait()
