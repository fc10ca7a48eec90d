"""Training speed predicted from published figures: a range, its basis, and never a number without a source.

The model: a device executes a share of its peak that depends on the kind of device and on how the work is spread over
devices (ZeRO or FSDP against tensor or pipeline parallelism), and on little else. What a token costs follows from the
model's shape, the row length and what is recomputed. The share is the geometric mean of all entries of that kind in
`configs/throughput.yaml`; leaving each entry out in turn shows how far one run may lie from it (docs/benchmarks.md),
which is what `MARGIN` states. Beyond the sizes and node counts of the entries, the low end is lowered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import ValidationError, model_validator

from eurolm.cluster.facts import Fact
from eurolm.config.load import explain_error
from eurolm.config.shipped import shipped
from eurolm.config.sources import compose
from eurolm.errors import ConfigError
from eurolm.model.memory import Checkpointing
from eurolm.model.size import Shape, count, forward_flops

Parallelism = Literal["sharded", "split"]

MARGIN = 0.35
"""Half width of the range: 41 of the 42 entries lie within it of the mean of the others, the 42nd at 37 %."""
BEYOND = 0.9
"""Factor on the low end for every doubling of nodes or parameters beyond the entries: a planning value."""
RECOMPUTED = {"none": 0.0, "selective": 0.15, "full": 1.0}
"""Time done again, in forward passes. Selective recomputation repeats no matrix product: 0.15 is a planning value."""


class Entry(Fact):
    """One published run."""

    run: str
    device: str
    devices: int | None
    nodes: int | None
    parallelism: Parallelism
    checkpointing: Literal["none", "full"]
    parameters: float | None
    matmul_parameters: float | None = None
    """Weights that every token is multiplied with."""
    layers: int | None = None
    attention_width: int | None = None
    row_tokens: int | None = None
    tokens_per_s_per_device: float | None = None
    flops_per_s: float | None = None
    """Per device, where only that was published."""
    counts_recompute: bool = False
    """Whether `flops_per_s` counts what is computed twice."""
    source: str
    note: str = ""

    @model_validator(mode="after")
    def _has_a_speed(self) -> Entry:
        shaped = (self.matmul_parameters, self.layers, self.attention_width, self.row_tokens)
        if self.flops_per_s is None and (self.tokens_per_s_per_device is None or None in shaped):
            raise ValueError("give flops_per_s, or tokens_per_s_per_device with the sizes that say what a token costs")
        return self

    def executed_flops_per_s(self) -> float:
        """FLOP/s per device, recomputation included."""
        repeated = 1 + RECOMPUTED[self.checkpointing] / 3
        if self.flops_per_s is not None:
            return self.flops_per_s * (1 if self.counts_recompute else repeated)
        attention = 2 * (self.layers or 0) * (self.attention_width or 0) * (self.row_tokens or 0)
        forward = 2 * ((self.matmul_parameters or 0) + attention)
        return 3 * forward * repeated * (self.tokens_per_s_per_device or 0)


class DeviceFacts(Fact):
    """A kind of device in the table."""

    name: str
    peak_bf16_flops: float


class Scaling(Fact):
    """Speed per device kept when nodes grow from 1, where only that was published."""

    device: str
    nodes: int
    kept: float
    source: str


class Table(Fact):
    """The whole table."""

    devices: dict[str, DeviceFacts]
    entries: list[Entry]
    scaling: list[Scaling]

    def share(self, entry: Entry) -> float:
        """Share of its device's peak that an entry executed."""
        return entry.executed_flops_per_s() / self.devices[entry.device].peak_bf16_flops

    def without(self, run: str) -> Table:
        """The table as if a run had not been published."""
        return self.model_copy(update={"entries": [entry for entry in self.entries if entry.run != run]})


@dataclass(frozen=True)
class Workload:
    """What is to be run, and on what."""

    shape: Shape
    row_tokens: int
    devices: int
    nodes: int
    checkpointing: Checkpointing
    peak_flops: float
    """bf16 peak of one device."""
    comparable: tuple[str, ...]
    """Kinds of device whose entries apply."""
    parallelism: Parallelism = "sharded"
    """eurolm's own is `sharded`."""


@dataclass(frozen=True)
class Speed:
    """Tokens per second and device: low end, middle and high end; measured ones are equal."""

    low: float
    middle: float
    high: float
    basis: str
    """What it rests on."""
    runs: tuple[str, ...] = ()
    """Entries of the table that were used."""
    measured: bool = False


def load_table(path: Path | None = None) -> Table:
    """The shipped table, or another one. Raises ConfigError naming file and line."""
    composed = compose(path or shipped("configs") / "throughput.yaml", ())
    try:
        return Table.model_validate(composed.tree)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigError("\n".join(explain_error(detail, composed, Table) for detail in details)) from None


def predict(table: Table, work: Workload) -> Speed:
    """The speed that the table lets one expect. For a kind of device without entries, the range over all others."""
    kin = [entry for entry in table.entries if entry.parallelism == work.parallelism]
    entries = [entry for entry in kin if entry.device in work.comparable]
    per_token = executed_flops_per_token(work)
    if not entries:
        shares = [table.share(entry) for entry in kin]
        low, high = min(shares) * work.peak_flops / per_token, max(shares) * work.peak_flops / per_token
        return Speed(low, math.sqrt(low * high), high, "no figure for this device: the range over all other devices")
    share = math.exp(fmean(math.log(table.share(entry)) for entry in entries))
    nodes_beyond, sizes_beyond = _beyond(entries, work)
    kept = _kept_per_doubling(table, work.comparable) ** nodes_beyond
    middle = share * kept * work.peak_flops / per_token
    low = middle * (1 - MARGIN) * BEYOND ** (nodes_beyond + sizes_beyond)
    runs = tuple(entry.run for entry in entries)
    larger = count(work.shape).total > max((entry.parameters or 0) for entry in entries)
    return Speed(low, middle, middle * (1 + MARGIN), _basis(share, runs, nodes_beyond, sizes_beyond, larger), runs)


def executed_flops_per_token(work: Workload) -> float:
    """FLOPs per token of forward, backward and recomputed passes."""
    return forward_flops(work.shape, work.row_tokens) * (3 + RECOMPUTED[work.checkpointing])


def utilisation(work: Workload, tokens_per_s_per_device: float) -> float:
    """Model FLOPs utilisation by the usual 6N: six FLOPs per parameter and token, no recomputation, no attention."""
    return 6 * count(work.shape).total * tokens_per_s_per_device / work.peak_flops


def _beyond(entries: Sequence[Entry], work: Workload) -> tuple[float, float]:
    """Doublings of nodes beyond the largest entry, and of parameters beyond the largest or below the smallest."""
    most = max((entry.nodes or 1) for entry in entries)
    sizes = [entry.parameters for entry in entries if entry.parameters]
    parameters = count(work.shape).total
    above, below = math.log2(parameters / max(sizes)), math.log2(min(sizes) / parameters)
    return max(0.0, math.log2(work.nodes / most)), max(0.0, above, below)


def _kept_per_doubling(table: Table, comparable: Sequence[str]) -> float:
    """Speed per device kept when nodes double: the worst that was published."""
    kept = [entry.kept ** (1 / math.log2(entry.nodes)) for entry in table.scaling if entry.device in comparable]
    return min(kept, default=1.0)


def _basis(share: float, runs: Sequence[str], nodes_beyond: float, sizes_beyond: float, larger: bool) -> str:
    text = f"{share:.0%} of peak executed, the mean of {len(runs)} published runs, ±{MARGIN:.0%}"
    if nodes_beyond:
        text += f"; {2**nodes_beyond:.1f} times the nodes of the largest of them"
    if sizes_beyond:
        text += f"; a model {2**sizes_beyond:.1f} times {'larger' if larger else 'smaller'} than any of them"
    return text
