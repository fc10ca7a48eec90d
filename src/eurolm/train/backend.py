"""The ground training stands on: threads, accelerator, process group, and DeepSpeed's traps on a first run."""

from __future__ import annotations

import logging
import os
from datetime import timedelta

import torch

from eurolm.errors import ConfigError

COLLECTIVE_TIMEOUT = timedelta(minutes=30)


def start_backend(threads: int) -> torch.device:
    """Join the process group described by the environment; returns this rank's device."""
    torch.set_num_threads(threads)
    # Adam's second moments of rare tokens fall into the denormal range, where Zen 4 divides 20 times slower.
    torch.set_flush_denormal(True)
    if not torch.accelerator.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
    load_deepspeed()
    import deepspeed
    from deepspeed.accelerator import get_accelerator
    from deepspeed.utils import logger

    logger.setLevel(logging.WARNING)
    accelerator = get_accelerator()
    cpu = accelerator.device_name() == "cpu"
    if not cpu:
        accelerator.set_device(device_index(int(os.environ["LOCAL_RANK"]), accelerator.device_count()))
    deepspeed.init_distributed(
        dist_backend="gloo" if cpu else accelerator.communication_backend_name(),
        timeout=COLLECTIVE_TIMEOUT,
        verbose=False,
    )
    return torch.device("cpu" if cpu else accelerator.current_device_name())


def device_index(local_rank: int, devices: int) -> int:
    """The device of a rank of this host. Raises ConfigError where it has none."""
    if local_rank >= devices:
        raise ConfigError(
            f"rank {local_rank} of this host finds {devices} devices: each rank needs one of its own, and must see all "
            f"of them. Set train.ranks={devices}, or give the job as many devices per node as ranks."
        )
    return local_rank


def peak_memory_bytes() -> int | None:
    """Most memory of this rank's device that torch has held so far; null on a CPU, which has no such counter."""
    return torch.accelerator.max_memory_reserved() if torch.accelerator.is_available() else None


def load_deepspeed() -> None:
    """Import DeepSpeed without what it compiles at first use.

    Its shared-memory collectives are C++ built by ninja, 195 s on two cores with 0.19.8, for a gain that gloo inside
    one host does not need; where a release does not know the table, there is nothing to switch off. Its Muon is
    decorated with torch.compile: 100 s at first use on a CPU, and 2 s of imports even for AdamW. torch reads the
    variable while decorating, so it does not touch what `train.compile` compiles later.
    """
    before = os.environ.get("TORCHDYNAMO_DISABLE")
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    try:
        import deepspeed.ops
        import deepspeed.runtime.zero.muon.muon_optimizer
    finally:
        if before is None:
            del os.environ["TORCHDYNAMO_DISABLE"]
        else:
            os.environ["TORCHDYNAMO_DISABLE"] = before
    table = getattr(deepspeed.ops, "__compatible_ops__", None)
    if isinstance(table, dict) and "deepspeed_shm_comm" in table:
        table["deepspeed_shm_comm"] = False
