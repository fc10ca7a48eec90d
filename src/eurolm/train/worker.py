"""One rank from start to verdict. Imports torch and DeepSpeed; `rank.py` starts the copier before that."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from eurolm.corpus.forget import Forgotten
from eurolm.errors import EurolmError, StoppedError
from eurolm.mixture.mixture import Mixture
from eurolm.model.build import build_model
from eurolm.tokenizer.load import LoadedTokenizer, load
from eurolm.train import store
from eurolm.train.backend import start_backend
from eurolm.train.compilation import compile_layers
from eurolm.train.copier import Copier
from eurolm.train.engine import Engine, engine_settings, start_engine
from eurolm.train.export import export_model
from eurolm.train.inputs import RankSpec
from eurolm.train.loop import Training, train
from eurolm.train.observers import Metrics, Observer, Sampler, Validator
from eurolm.train.saving import Saver
from eurolm.train.state import TrainState
from eurolm.train.stopping import StopRequest
from eurolm.train.validate import load_validation
from eurolm.train.verdict import DONE, Verdict, verdict_of, write_verdict

EAGER_ATTENTION_TOKENS = 1024
"""Rows up to this length use plain attention on a CPU: its bf16 matrix products beat torch's fused kernel there
(Zen 4, a 7M model, rows of 256 and 512 tokens: the whole step takes 13 and 19 % less time)."""


def run_rank(spec: RankSpec, copier: Copier | None, rank: int) -> int:
    """Run this rank to its end; returns its exit status.

    Success and an agreed stop leave a verdict and status 0. Any other error leaves the verdict and its own status, so
    that the parent ends the ranks that would wait for this one.
    """
    try:
        verdict = _run(spec, copier, rank)
    except EurolmError as error:
        write_verdict(spec.verdict, verdict_of(error))
        return error.exit_code
    if rank == 0:
        write_verdict(spec.verdict, verdict)
    dist.barrier()
    dist.destroy_process_group()
    return 0


def _run(spec: RankSpec, copier: Copier | None, rank: int) -> Verdict:
    stop = StopRequest(spec.stop_file if rank == 0 else None)
    stop.listen()
    mixture = Mixture.open(spec.mixture, spec.tokens, spec.packs)
    tokenizer = load(spec.tokenizer)
    device = start_backend(spec.threads)
    engine = _start(spec, tokenizer, device)
    state = _load(spec, engine)
    saver = Saver(spec, engine, copier, state.samples)
    observers = _observers(spec, engine, tokenizer, mixture, rank)
    state = train(Training(spec.train, mixture, engine, observers, saver, stop), state)
    step = mixture.steps_of(state.samples)
    if state.samples < mixture.total_samples:
        stop.obeyed()
        message = f"stopped at step {step:,} of {mixture.total_steps:,} and saved. The same command resumes."
        return verdict_of(StoppedError(message))
    if rank == 0:
        summary = {"step": step, **state.to_json()}
        export_model(engine.model, spec.tokenizer, spec.model_dir, spec.fingerprint, summary)
    return Verdict(DONE)


def _start(spec: RankSpec, tokenizer: LoadedTokenizer, device: torch.device) -> Engine:
    """Model and engine with the initial weights."""
    model: Any = build_model(spec.model, tokenizer.vocab_size, tokenizer.eod_id)
    longest = max(phase.row_tokens for phase in spec.mixture.phases)
    if device.type == "cpu" and longest <= EAGER_ATTENTION_TOKENS:
        model.set_attn_implementation("eager")
    if spec.train.compile:
        compile_layers(model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    rows = spec.train.micro_batch_rows or spec.mixture.phases[0].batch_rows // spec.ranks
    settings = engine_settings(spec.train.optimizer, parameters, rows)
    return start_engine(model, spec.train.optimizer, settings, spec.ranks)


def _load(spec: RankSpec, engine: Engine) -> TrainState:
    """The state to go on from; weights and optimizer come from the checkpoint the parent verified."""
    if spec.resume is None:
        return TrainState()
    # DeepSpeed unpickles here: only files of our own run whose hashes were checked just now.
    engine.deepspeed.load_checkpoint(str(spec.resume), tag=store.ENGINE, load_lr_scheduler_states=False)
    return store.read_progress(spec.resume).state


def _observers(
    spec: RankSpec, engine: Engine, tokenizer: LoadedTokenizer, mixture: Mixture, rank: int
) -> list[Observer]:
    train, steps = spec.train, mixture.total_steps
    window = spec.mixture.phases[-1].row_tokens
    forgotten = Forgotten.load(spec.forget)
    validation = load_validation(spec.corpus, forgotten, tokenizer, window, train.validate_max_bytes, rank, spec.ranks)
    return [
        Metrics(spec.run_dir, train.log_every_steps, steps, train.max_skipped_steps),
        Validator(spec.run_dir, engine, validation, train.validate_every_steps, steps),
        Sampler(spec.run_dir, engine, tokenizer, train, steps),
    ]
