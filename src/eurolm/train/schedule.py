"""Learning rate as a pure function of tokens consumed, and so of the one clock, samples.

The horizon enters only where the schedule must know it: WSD's stable phase is the same for every horizon, so a run
may be extended there (arXiv 2404.06395, "MiniCPM", section 4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from eurolm.config.train import FreezeConfig, Part, RewarmConfig, ScheduleConfig


def factor(schedule: ScheduleConfig, done: float, horizon: float) -> float:
    """Factor in [0, 1] on the peak learning rate when `done` of `horizon` tokens are consumed.

    Warm-up rises linearly from 0 to 1, the decay ends at `floor` with the horizon. Ask for the middle of a step: its
    beginning would waste the first one at rate 0, its end the last one.
    """
    height = _height(schedule, done, horizon)
    for rewarm in schedule.rewarms:
        height *= _rewarmed(rewarm, done)
    return height


def warmup_tokens(schedule: ScheduleConfig, horizon: float) -> float:
    """Tokens spent warming up."""
    return schedule.warmup_share * horizon if schedule.warmup_tokens is None else float(schedule.warmup_tokens)


def freeze_factor(freeze: Mapping[Part, FreezeConfig], part: Part, done: float) -> float:
    """Factor of a part of the model ("embeddings", "head", "body") when `done` tokens are consumed."""
    setting = freeze.get(part)
    return setting.factor if setting is not None and done < setting.until_tokens else 1.0


def _height(schedule: ScheduleConfig, done: float, horizon: float) -> float:
    warmup = warmup_tokens(schedule, horizon)
    if done < warmup:
        return done / warmup
    if schedule.shape == "wsd":
        start, decay = max(warmup, horizon * (1.0 - schedule.decay_share)), schedule.decay
    else:
        start, decay = warmup, schedule.shape
    return schedule.floor + (1.0 - schedule.floor) * _decay(decay, _share(done, start, horizon))


def _decay(form: str, share: float) -> float:
    """From 1 at share 0 to 0 at share 1."""
    if form == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * share))
    return 1.0 - (math.sqrt(share) if form == "1-sqrt" else share)


def _share(done: float, start: float, end: float) -> float:
    """How far `done` is from `start` (0) to `end` (1)."""
    if done <= start:
        return 0.0
    return min(1.0, (done - start) / (end - start))


def _rewarmed(rewarm: RewarmConfig, done: float) -> float:
    return 1.0 if done < rewarm.at_tokens else min(1.0, (done - rewarm.at_tokens) / rewarm.over_tokens)
