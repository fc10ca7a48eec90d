"""A receipt taken from the live engine: every rank sums what it holds, and all ranks get the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist

from eurolm.train.engine import Engine
from eurolm.train.receipt import Receipt, ReceiptError, Sums
from eurolm.train.shards import optimizer_steps, segments, weight_shards

WEIGHT = "weight"
CHUNK_ELEMENTS = 2**22
BITS = {2: torch.int16, 4: torch.int32}


def measure(engine: Engine, probe: Callable[[], float]) -> Receipt:
    """The receipt of the engine as it is; every rank must call this, every rank gets the same.

    Raises ReceiptError where the ranks hold different copies of a weight.
    """
    parts: dict[tuple[str, str], torch.Tensor] = {}
    for segment in segments(engine):
        if segment.owned:
            _add(parts, (segment.parameter, segment.state), bit_sums(segment.values, segment.start))
    copies: dict[tuple[str, str], torch.Tensor] = {}
    for name, start, values, replicated in weight_shards(engine):
        _add(copies if replicated else parts, (name, WEIGHT), bit_sums(values, start))
    sums = _gathered(parts, engine.device) | _compared(copies, engine.device)
    tree: Sums = {}
    for (name, state), pair in sorted(sums.items()):
        tree.setdefault(name, {})[state] = pair
    return Receipt(tree, _all_steps(engine), probe().hex())


def kernels(engine: Engine) -> dict[str, str]:
    """What computes the probe loss on this rank; others round it elsewhere. A CPU is called by what it can do."""
    device = engine.device
    cpu = f"CPU with {torch.backends.cpu.get_cpu_capability()}"
    return {
        "device": cpu if device.type == "cpu" else torch.cuda.get_device_name(device),
        "attention": engine.model.config._attn_implementation,
    }


def bit_sums(values: torch.Tensor, start: int) -> torch.Tensor:
    """int64 [2]: sum of bit patterns and sum of bit pattern × (2 × place + 1), of elements `start` … of a tensor."""
    line = values.detach().reshape(-1)
    bits = line.view(BITS[line.element_size()])
    total = torch.zeros(2, dtype=torch.int64, device=line.device)
    for first in range(0, len(bits), CHUNK_ELEMENTS):
        chunk = bits[first : first + CHUNK_ELEMENTS].to(torch.int64)
        place = torch.arange(start + first, start + first + len(chunk), device=line.device)
        total[0] += chunk.sum()
        total[1] += (chunk * (2 * place + 1)).sum()
    return total


def _add(into: dict[tuple[str, str], torch.Tensor], key: tuple[str, str], sums: torch.Tensor) -> None:
    into[key] = into[key] + sums if key in into else sums


def _keys(own: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Keys of all ranks, sorted."""
    known: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(known, sorted(own))
    return sorted({tuple(key) for keys in known for key in keys})


def _stacked(sums: dict[tuple[str, str], torch.Tensor], keys: list[Any], device: torch.device) -> torch.Tensor:
    nothing = torch.zeros(2, dtype=torch.int64, device=device)
    return torch.stack([sums.get(key, nothing) for key in keys]) if keys else nothing[None]


def _gathered(sums: dict[tuple[str, str], torch.Tensor], device: torch.device) -> dict[tuple[str, str], list[int]]:
    """Sums over the ranks."""
    keys = _keys(sums)
    stacked = _stacked(sums, keys, device)
    dist.all_reduce(stacked)
    return dict(zip(keys, stacked.tolist(), strict=False))


def _compared(sums: dict[tuple[str, str], torch.Tensor], device: torch.device) -> dict[tuple[str, str], list[int]]:
    """Sums that every rank must find alike."""
    keys = _keys(sums)
    least, most = _stacked(sums, keys, device), _stacked(sums, keys, device)
    dist.all_reduce(least, op=dist.ReduceOp.MIN)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    if differing := [
        name for (name, _), same in zip(keys, (least == most).all(dim=1).tolist(), strict=False) if not same
    ]:
        raise ReceiptError(
            f"the ranks hold different copies of {len(differing)} weights, first {differing[0]}. A device or a link "
            "computed wrongly; the last checkpoint was whole. Exclude the node and run the same command."
        )
    return dict(zip(keys, most.tolist(), strict=False))


def _all_steps(engine: Engine) -> dict[str, int]:
    known: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(known, optimizer_steps(engine))
    steps: dict[str, int] = {}
    for own in known:
        for name, count in own.items():
            if steps.setdefault(name, count) != count:
                raise ReceiptError(f"the ranks count {steps[name]} and {count} optimizer steps for {name}.")
    return dict(sorted(steps.items()))
