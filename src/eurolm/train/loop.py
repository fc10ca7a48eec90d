"""The training loop: plan → step → observe → decide."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch.distributed as dist

from eurolm.config.train import TrainConfig
from eurolm.mixture.mixture import Mixture
from eurolm.train.engine import Engine
from eurolm.train.observers import Observer
from eurolm.train.saving import Saver
from eurolm.train.schedule import factor
from eurolm.train.state import TrainState
from eurolm.train.step import micro_batches, rank_samples, take_step
from eurolm.train.stopping import StopRequest


@dataclass(frozen=True)
class Training:
    """Everything the loop turns."""

    config: TrainConfig
    mixture: Mixture
    engine: Engine
    observers: list[Observer]
    saver: Saver
    stop: StopRequest


def train(training: Training, state: TrainState) -> TrainState:
    """Go on from `state` to the end of the mixture, or to the step at which the ranks agree to stop.

    The returned state is saved. Raises NumericsError or MachineError on all ranks together.
    """
    mixture, engine = training.mixture, training.engine
    rank, world = dist.get_rank(), dist.get_world_size()
    observers = [*training.observers, training.saver]
    if state.samples == 0:
        for observer in observers:
            observer.started()
    while state.samples < mixture.total_samples:
        plan = mixture.plan_step(state.samples)
        batches = list(micro_batches(mixture, rank_samples(plan, rank, world), training.config.micro_batch_rows))
        middle = mixture.tokens_of(state.samples) + plan.rows * plan.row_tokens / 2
        rate = factor(training.config.schedule, middle, mixture.total_tokens)
        wishes = replace(training.saver.wishes(), stop=training.stop.wanted())
        record = take_step(engine, plan, batches, wishes, rate)
        state = state.after(plan.rows, record.applied)
        for observer in observers:
            observer.stepped(record, state)
        if record.agreed.stop:
            break
    training.saver.finish(mixture.steps_of(state.samples), state)
    return state
