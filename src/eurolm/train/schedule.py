"""Learning rate as a pure function of tokens consumed, and so of the one clock, samples.

The horizon enters only where the schedule must know it: WSD's stable phase is the same for every horizon, so a run
may be extended there (arXiv 2404.06395, "MiniCPM", section 4).
"""

from __future__ import annotations

import math

from eurolm.config.train import ScheduleConfig


def factor(schedule: ScheduleConfig, done: float, horizon: float) -> float:
    """Factor in [0, 1] on the peak learning rate when `done` of `horizon` tokens are consumed.

    Warm-up rises linearly from 0 to 1, the decay ends at `floor` with the horizon. Ask for the middle of a step: its
    beginning would waste the first one at rate 0, its end the last one.
    """
    warmup = schedule.warmup_share * horizon
    if done < warmup:
        return done / warmup
    if schedule.shape == "cosine":
        return _above(schedule.floor, 0.5 * (1.0 + math.cos(math.pi * _share(done, warmup, horizon))))
    decay_start = max(warmup, horizon * (1.0 - schedule.decay_share))
    return _above(schedule.floor, 1.0 - _share(done, decay_start, horizon))


def _share(done: float, start: float, end: float) -> float:
    """How far `done` is from `start` (0) to `end` (1)."""
    if done <= start:
        return 0.0
    return min(1.0, (done - start) / (end - start))


def _above(floor: float, height: float) -> float:
    return floor + (1.0 - floor) * height
