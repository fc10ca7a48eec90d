"""GEMM canary: the same matrix product on every device, which healthy devices of one kind answer in the same bits and
at about the same speed. A sick one gives another checksum, or takes longer (facts: silent data corruption and
stragglers are what long runs on thousands of devices meet; Llama 3 and AxoNN report both)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEED = 20_261_128
WARM_UP = 3
REPEATS = 40
ACCELERATOR_SIZE = 4096
CPU_SIZE = 384


@dataclass(frozen=True)
class Canary:
    """What one device answered."""

    device: str
    """Name of the device; only devices of one name are comparable."""
    kind: str
    """Type of the torch.device: `cpu`, `cuda` (ROCm too)."""
    checksums: tuple[int, ...]
    """Distinct sums of the result's bit patterns over all repeats; more than one: it does not repeat itself."""
    seconds: float
    """Lower quartile of the times of one product: a neighbour's burst of work must not count as a slow device."""
    flops: float
    """Floating-point operations per second at that time."""


def gemm_canary(device: Any) -> Canary:
    """Multiply two square matrices of fixed content on `device` (torch.device): bf16 on accelerators, fp32 on a CPU."""
    import torch

    cpu = device.type == "cpu"
    size = CPU_SIZE if cpu else ACCELERATOR_SIZE
    generator = torch.Generator().manual_seed(SEED)
    dtype, bits = (torch.float32, torch.int32) if cpu else (torch.bfloat16, torch.int16)
    left, right = (torch.randn(size, size, generator=generator).to(device, dtype) for _ in range(2))
    checksums, seconds = set(), []
    for repeat in range(WARM_UP + REPEATS):
        _wait(device)
        started = time.perf_counter()
        product = torch.mm(left, right)
        _wait(device)
        if repeat >= WARM_UP:
            seconds.append(time.perf_counter() - started)
        checksums.add(int(product.view(bits).to(torch.int64).sum().item()))
    quartile = sorted(seconds)[len(seconds) // 4]
    return Canary(device_name(device), device.type, tuple(sorted(checksums)), quartile, 2 * size**3 / quartile)


def device_name(device: Any) -> str:
    """The maker's name of a torch.device; of a CPU the model in /proc/cpuinfo."""
    import torch

    if device.type != "cpu":
        return str(torch.cuda.get_device_name(device))
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU")


def _wait(device: Any) -> None:
    import torch

    if device.type != "cpu":
        torch.accelerator.synchronize(device)
