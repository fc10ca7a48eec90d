"""What happens around a step: lines in metrics.jsonl, validation, samples, checkpoints.

Each observer looks at the finished step and touches neither the model's weights nor any random state, so a run with
other observers has the same losses bit for bit.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Protocol

import torch.distributed as dist

from eurolm.config.train import TrainConfig
from eurolm.errors import NumericsError
from eurolm.scoring.generate import generate
from eurolm.tokenizer.load import LoadedTokenizer
from eurolm.train.backend import peak_memory_bytes
from eurolm.train.compilation import uncompiled
from eurolm.train.engine import Engine, gathered, model_bytes
from eurolm.train.metrics import METRICS, SAMPLES, RunLog
from eurolm.train.state import TrainState
from eurolm.train.step import StepRecord
from eurolm.train.validate import Validation

SAMPLE_SEED = 1
GATHERED_BYTES = 2 * 10**9
"""Largest bf16 model that is gathered on every rank at ZeRO-3 so that rank 0 can continue prompts."""


class Observer(Protocol):
    """Told of the start of a fresh training and of every step, on every rank in the same order."""

    def started(self) -> None: ...

    def stepped(self, record: StepRecord, state: TrainState) -> None: ...


@dataclass
class Metrics:
    """Writes steps and skips (rank 0), and gives up after too many skips in a row (every rank alike)."""

    log: RunLog
    every_steps: int
    total_steps: int
    max_skipped: int

    def started(self) -> None:
        """Nothing to tell before the first step."""

    def stepped(self, record: StepRecord, state: TrainState) -> None:
        """Raises NumericsError when more than `max_skipped` steps in a row were skipped."""
        if dist.get_rank() == 0:
            if not record.applied:
                self._write_skip(record, state)
            elif record.step % self.every_steps == 0 or record.step == self.total_steps:
                self._write_step(record)
        if state.skipped_in_a_row > self.max_skipped:
            raise NumericsError(
                f"{state.skipped_in_a_row} steps in a row, up to step {record.step:,}, had a loss or gradient that was "
                f"not finite; train.max_skipped_steps = {self.max_skipped}. Lower the learning rate, or look at the "
                f"data: `eurolm which RUN --step {record.step}`."
            )

    def _write_step(self, record: StepRecord) -> None:
        self.log.write(
            METRICS,
            "step",
            record.step,
            samples=record.samples,
            tokens=record.tokens,
            loss=record.loss,
            loss_hex=record.loss.hex(),
            learning_rate=record.learning_rate,
            grad_norm=record.grad_norm,
            step_s=round(record.step_s, 6),
            tokens_per_s=round(record.tokens / record.step_s, 1),
            valid_targets=record.valid_targets,
            peak_memory_bytes=peak_memory_bytes(),
        )

    def _write_skip(self, record: StepRecord, state: TrainState) -> None:
        self.log.write(
            METRICS,
            "skip",
            record.step,
            samples=record.samples,
            cause="the gradient" if math.isfinite(record.loss) else "the loss",
            skipped_in_a_row=state.skipped_in_a_row,
        )


@dataclass
class Validator:
    """Bits per byte at the start, every `every_steps` steps and at the end."""

    log: RunLog
    engine: Engine
    validation: Validation
    every_steps: int
    total_steps: int

    def started(self) -> None:
        """Score the untrained model."""
        self._score(0, 0)

    def stepped(self, record: StepRecord, state: TrainState) -> None:
        """Score when due."""
        if record.step % self.every_steps == 0 or record.step == self.total_steps:
            self._score(record.step, record.samples)

    def _score(self, step: int, samples: int) -> None:
        if not self.validation.batches:
            return
        began = time.perf_counter()
        with uncompiled():
            scores = self.validation.bits_per_byte(self.engine)
        if dist.get_rank() == 0:
            seconds = round(time.perf_counter() - began, 3)
            broken = [language for language, bits in scores.items() if not math.isfinite(bits)]
            if broken:
                said = f"step {step:,}: bits per byte of {', '.join(broken)} are not finite and left out"
                self.log.write(METRICS, "note", step, said=f"{said}: the weights of the model are broken.")
                scores = {language: bits for language, bits in scores.items() if language not in broken}
            self.log.write(METRICS, "validation", step, samples=samples, bits_per_byte=scores, seconds=seconds)


@dataclass
class Sampler:
    """Continues the prompts at the start, at a third and at the end, so that a reader sees the model learn."""

    log: RunLog
    engine: Engine
    tokenizer: LoadedTokenizer
    config: TrainConfig
    total_steps: int

    def started(self) -> None:
        """Continue the prompts with the untrained model."""
        self._write(0)

    def stepped(self, record: StepRecord, state: TrainState) -> None:
        """Continue the prompts when due."""
        if record.step in (self._third(), self.total_steps):
            self._write(record.step)

    def _third(self) -> int:
        return -(-self.total_steps // 3)

    def _write(self, step: int) -> None:
        if not self.config.prompts:
            return
        if self.engine.sharded_weights and model_bytes(self.engine) > GATHERED_BYTES:
            self._say_left_out(step)
            return
        with gathered(self.engine):
            self._continue(step)
        # The others must not run into the next step's collective while rank 0 generates.
        dist.barrier()

    def _continue(self, step: int) -> None:
        if dist.get_rank() == 0:
            prompts, tokens = self.config.prompts, self.config.prompt_tokens
            try:
                with uncompiled():
                    texts = generate(self.engine.model, self.tokenizer, prompts, tokens, seed=SAMPLE_SEED)
            except NumericsError as error:
                self.log.write(
                    METRICS, "left_out", step, what=f"step {step:,}: continued prompts", cause=str(error)[:-1]
                )
                return
            share = {0: 0.0, self.total_steps: 1.0}.get(step, 0.333)
            for prompt, text in zip(self.config.prompts, texts, strict=True):
                self.log.write(SAMPLES, "sample", step, share=share, prompt=prompt, text=text)

    def _say_left_out(self, step: int) -> None:
        if step == 0 and dist.get_rank() == 0:
            cause = "at ZeRO-3 the model is gathered on every rank to continue a prompt, and it is too large for that"
            self.log.write(METRICS, "left_out", step, what="continued prompts", cause=cause)
