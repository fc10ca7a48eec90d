"""Seconds of arithmetic and of communication in a step, to compare layouts with each other.

Not a prediction: what a run will reach is in `throughput.py`. Here only the difference between two layouts of the same
model on the same devices counts, so nothing is taken to overlap and both sides rest on the same planning values.
"""

from __future__ import annotations

from dataclasses import dataclass

from eurolm.cluster.throughput import RECOMPUTED
from eurolm.model.memory import Checkpointing
from eurolm.model.size import Shape, count, forward_flops

EXECUTED_SHARE = 0.46
"""Share of peak executed: the mean of the sharded runs on MI250X in configs/throughput.yaml."""
NETWORK_SHARE = 0.5
"""Share of a link's nominal bandwidth that collectives reach: a planning value."""


@dataclass(frozen=True)
class Machine:
    """What a step's time depends on."""

    peak_flops: float
    """bf16 peak of one device."""
    nodes: int
    node_bytes_per_s: float | None
    """Network bandwidth of a node; null where it is not known."""
    link_bytes_per_s: float | None
    """Bandwidth between two devices of a node, one direction; null where it is not known."""

    @property
    def bytes_per_s(self) -> float | None:
        """Nominal bandwidth of a ring over all devices: the slower of the two kinds of links it runs over."""
        links = [self.link_bytes_per_s, self.node_bytes_per_s if self.nodes > 1 else None]
        known = [link for link in links if link is not None]
        return min(known) if known else None


@dataclass(frozen=True)
class StepTime:
    """Seconds per token of a rank."""

    arithmetic: float
    communication: float

    @property
    def total(self) -> float:
        """Both, nothing overlapped."""
        return self.arithmetic + self.communication


def step_time(
    shape: Shape, machine: Machine, *, row_tokens: int, share_rows: int, micro_batch_rows: int, stage: int,
    hpz: bool, checkpointing: Checkpointing, wire_bytes: int,
) -> StepTime:  # fmt: skip
    """Time per token of a rank that computes `share_rows` rows per step in micro-batches of `micro_batch_rows`."""
    flops = (3 + RECOMPUTED[checkpointing]) * forward_flops(shape, row_tokens)
    arithmetic = flops / (EXECUTED_SHARE * machine.peak_flops)
    bandwidth = machine.bytes_per_s
    if bandwidth is None:
        return StepTime(arithmetic, 0.0)
    moved = traffic(count(shape).total, share_rows // micro_batch_rows, stage, hpz, wire_bytes)
    return StepTime(arithmetic, moved / (NETWORK_SHARE * bandwidth) / (share_rows * row_tokens))


def traffic(parameters: int, micro_batches: int, stage: int, hpz: bool, wire_bytes: int) -> int:
    """Bytes that reach each rank per step: gradients summed in `wire_bytes` each, weights gathered in bf16.

    ZeRO-0 and 1 sum gradients once per step, ZeRO-2 and 3 after every micro-batch; ZeRO-3 gathers the weights in every
    forward pass and, unless hpZ keeps them in the node, in every backward pass.
    """
    reduced, gathered = wire_bytes * parameters, 2 * parameters
    if stage == 0:
        return 2 * reduced
    if stage == 1:
        return reduced + gathered
    if stage == 2:
        return micro_batches * reduced + gathered
    return micro_batches * (reduced + gathered * (1 if hpz else 2))
