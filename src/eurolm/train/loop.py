"""The training loop: plan → step → observe → decide."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch.distributed as dist

from eurolm.config.train import TrainConfig
from eurolm.mixture.mixture import Mixture
from eurolm.train.engine import Engine
from eurolm.train.observers import Observer
from eurolm.train.phases import PhaseChanges
from eurolm.train.saving import Saver
from eurolm.train.schedule import factor, freeze_factor
from eurolm.train.state import TrainState
from eurolm.train.step import micro_batches, rank_samples, take_step
from eurolm.train.stopping import StopRequest


@dataclass(frozen=True)
class Training:
    """Everything the loop turns."""

    config: TrainConfig
    mixture: Mixture
    engine: Engine
    phases: PhaseChanges
    observers: list[Observer]
    saver: Saver
    stop: StopRequest


def train(training: Training, state: TrainState) -> TrainState:
    """Go on from `state` to the end of the mixture, or to the step at which the ranks agree to stop.

    The returned state is saved. Raises NumericsError or MachineError on all ranks together.
    """
    mixture, engine, saver = training.mixture, training.engine, training.saver
    rank, world = dist.get_rank(), dist.get_world_size()
    observers, step_s, vocabulary = [*training.observers, saver], 0.0, engine.model.config.vocab_size
    if state.samples == 0:
        for observer in observers:
            observer.started()
    while state.samples < mixture.total_samples:
        began, plan = time.perf_counter(), mixture.plan_step(state.samples)
        micro_batch_rows = training.phases.enter(engine.model, plan.phase)
        batches = list(micro_batches(mixture, rank_samples(plan, rank, world), micro_batch_rows, vocabulary))
        set_rates(training, state.samples, plan.rows * plan.row_tokens)
        wishes = replace(saver.wishes(), stop=training.stop.wanted(step_s, saver.longest_s))
        record = take_step(engine, plan, batches, wishes, began)
        state, step_s = state.after(plan.rows, record.applied), record.step_s
        for observer in observers:
            observer.stepped(record, state)
        if record.agreed.stop:
            break
    saver.finish(mixture.steps_of(state.samples), state)
    return state


def set_rates(training: Training, samples: int, step_tokens: int) -> None:
    """Learning rates of the step of `step_tokens` tokens that follows `samples`: those of its middle."""
    mixture, config = training.mixture, training.config
    middle = mixture.tokens_of(samples) + step_tokens / 2
    parts = {part: freeze_factor(config.freeze, part, middle) for part in config.freeze}
    training.engine.set_learning_rates(factor(config.schedule, middle, mixture.total_tokens), parts)
