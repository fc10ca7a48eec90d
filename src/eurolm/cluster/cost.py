"""From a speed to hours, jobs, billing units, energy and carbon. Pure arithmetic, ranges carried through."""

from __future__ import annotations

import math
from dataclasses import dataclass

from eurolm.cluster.plan_record import Range
from eurolm.cluster.profile import Billing, Power
from eurolm.cluster.throughput import Speed

START_S = 600.0
"""From the start of a job to its first step, loading included, before it is measured: TildeOpen's jobs on LUMI took
about ten minutes (tilde-nlp/llm-gpt-neox, misc/TRAIN.md)."""
RAM_BYTES_PER_S = 2.9e9
"""Writing to /tmp in RAM on LUMI-G (LUMI AI Guide, ch. 04): what a save blocks training for, before it is measured."""
LAST_SAVES = 3.0
"""Saves' worth of time that a job keeps for its last checkpoint."""


@dataclass(frozen=True)
class Duration:
    """How long the training takes."""

    hours: Range
    """Allocated: steps, saves, and the start of every job."""
    jobs: int
    """Jobs of the chain, by the middle of the range."""


def save_seconds(checkpoint_bytes: int, nodes: int) -> float:
    """Training blocked by one checkpoint, before it is measured: each node writes its share to RAM."""
    return checkpoint_bytes / nodes / RAM_BYTES_PER_S


def duration(
    tokens: int, ranks: int, speed: Speed, *, save_s: float, save_every_minutes: float, start_s: float,
    job_hours: float | None,
) -> Duration:  # fmt: skip
    """Hours and jobs of `tokens` at `speed` tokens per second and rank. One job of any length without `job_hours`."""
    saves = 1 + save_s / (60 * save_every_minutes)

    def allocated(tokens_per_s: float) -> tuple[float, int]:
        busy = tokens / (ranks * tokens_per_s) * saves
        usable = math.inf if job_hours is None else job_hours * 3600 - start_s - LAST_SAVES * save_s
        # A job too short for its own start and end is refused by the caller.
        jobs = max(1, math.ceil(busy / usable)) if usable > 0 else 0
        return (busy + jobs * start_s) / 3600, jobs

    (low, _), (middle, jobs), (high, _) = (allocated(rate) for rate in (speed.high, speed.middle, speed.low))
    return Duration(Range(low, middle, high), jobs)


def units(hours: Range, nodes: int, billing: Billing) -> Range:
    """Billing units of whole nodes."""
    return scaled(hours, nodes * billing.per_node_hour)


def energy(hours: Range, nodes: int, power: Power) -> Range | None:
    """kWh at the site, cooling included where its PUE is known; null without the power of a node."""
    low, high = power.node_watts_low or power.node_watts_high, power.node_watts_high or power.node_watts_low
    if low is None or high is None:
        return None
    site = nodes * (power.pue or 1.0) / 1000
    return Range(hours.low * low * site, hours.middle * (low + high) / 2 * site, hours.high * high * site)


def carbon(kwh: Range | None, kg_per_kwh: float | None) -> Range | None:
    """kg of CO2 equivalent; null where energy or factor is not known."""
    return None if kwh is None or kg_per_kwh is None else scaled(kwh, kg_per_kwh)


def scaled(value: Range, factor: float) -> Range:
    """Every end times `factor`."""
    return Range(value.low * factor, value.middle * factor, value.high * factor)
