"""One rank from start to verdict. Imports torch and DeepSpeed; `rank.py` starts the copier before that."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

from eurolm.artifacts.lease import lease
from eurolm.corpus.forget import Forgotten
from eurolm.errors import EurolmError, StoppedError
from eurolm.machine.host import versions
from eurolm.mixture.mixture import Mixture
from eurolm.tokenizer.load import LoadedTokenizer, load
from eurolm.train import store
from eurolm.train.apart import check_documents_apart
from eurolm.train.attention import checkpoint_activations, choose_attention
from eurolm.train.backend import start_backend
from eurolm.train.before import Original, heldout_texts
from eurolm.train.compilation import compile_layers, uncompiled
from eurolm.train.copier import Copier
from eurolm.train.engine import Engine, start_engine
from eurolm.train.inputs import RankSpec
from eurolm.train.loop import Training, train
from eurolm.train.measure import kernels, measure
from eurolm.train.metrics import METRICS, RunLog
from eurolm.train.observers import Metrics, Observer, Sampler, Validator
from eurolm.train.phases import PhaseChanges
from eurolm.train.receipt import ACROSS_KERNELS, ACROSS_WORLDS, check
from eurolm.train.saving import LIBRARIES, Saver
from eurolm.train.settings import engine_settings
from eurolm.train.state import TrainState
from eurolm.train.step import micro_batches, probe_loss
from eurolm.train.stopping import StopRequest
from eurolm.train.tensors import load_tensors
from eurolm.train.validate import load_validation
from eurolm.train.verdict import DONE, Verdict, verdict_of, write_verdict
from eurolm.train.weights import model_to_train


def run_rank(spec: RankSpec, copier: Copier | None, rank: int, stop: StopRequest) -> int:
    """Run this rank to its end; returns its exit status.

    Success and an agreed stop leave a verdict and status 0. Any other error leaves the verdict and its own status, so
    that the parent ends the ranks that would wait for this one.
    """
    try:
        with lease(spec.lease) if spec.ranks_hold_lease and rank == 0 else nullcontext():
            verdict = _run(spec, copier, stop)
    except EurolmError as error:
        write_verdict(spec.verdict, verdict_of(error))
        return error.exit_code
    if rank == 0:
        write_verdict(spec.verdict, verdict)
    dist.barrier()
    dist.destroy_process_group()
    return 0


def _run(spec: RankSpec, copier: Copier | None, stop: StopRequest) -> Verdict:
    mixture = Mixture.open(spec.mixture, spec.tokens, spec.packs)
    tokenizer = load(spec.tokenizer)
    device = start_backend(spec.threads)
    log = RunLog(spec.run_dir)
    engine = _start(spec, tokenizer, device, log)
    phases = PhaseChanges(spec.mixture.phases, spec.train.micro_batch_rows)
    (row,) = micro_batches(mixture, range(1), 1, engine.model.config.vocab_size)
    probe = partial(uncompiled_loss, engine, row)
    state = TrainState() if spec.resume is None else resume(spec, engine, mixture, phases, probe, log)
    check_documents_apart(engine, row)
    saver = Saver(spec, engine, copier, probe, state, log)
    observers = _observers(spec, engine, tokenizer, mixture, log)
    state = train(Training(spec.train, mixture, engine, phases, observers, saver, stop), state)
    if state.samples < mixture.total_samples:
        stop.obeyed()
        step = mixture.steps_of(state.samples)
        message = f"stopped at step {step:,} of {mixture.total_steps:,} and saved. The same command resumes."
        return verdict_of(StoppedError(message))
    return Verdict(DONE)


def uncompiled_loss(engine: Engine, row: Any) -> float:
    """The probe row's loss, the same whether `train.compile` is set or not: a resume may change that."""
    with uncompiled():
        return probe_loss(engine, row)


def _start(spec: RankSpec, tokenizer: LoadedTokenizer, device: torch.device, log: RunLog) -> Engine:
    """Model and engine; with the initial weights, or without any where a checkpoint brings them."""
    longest = max(phase.row_tokens for phase in spec.mixture.phases)
    kernel, warning = choose_attention(spec.train, device, longest)
    if warning and dist.get_rank() == 0:
        step = store.read_progress(spec.resume).step if spec.resume else 0
        log.write(METRICS, "note", step, said=warning)
    with model_to_train(spec, tokenizer, device, log) as model:
        model.set_attn_implementation(kernel)
        model.train()
        checkpoint_activations(model, spec.train.activation_checkpointing)
        if spec.train.compile:
            compile_layers(model)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        rows = spec.train.micro_batch_rows or spec.mixture.phases[0].batch_rows // spec.ranks
        settings = engine_settings(spec.train, parameters, rows, accelerator=device.type != "cpu")
        return start_engine(model, spec.train, settings, spec.ranks)


def resume(
    spec: RankSpec, engine: Engine, mixture: Mixture, phases: PhaseChanges, probe: Any, log: RunLog
) -> TrainState:
    """Load the checkpoint that the parent verified, and prove from the live engine that it is what was saved.

    Raises ReceiptError where it is not, InputError where it is of another model or incomplete.
    """
    assert spec.resume is not None  # noqa: S101 - asked by the caller
    progress, receipt = store.read_progress(spec.resume), store.read_receipt(spec.resume)
    load_tensors(engine, spec.resume / store.TENSORS, receipt.steps)
    # The phase that was trained last, not the one that comes next: the probe was taken under it.
    phases.enter(engine.model, mixture.plan_step(mixture.samples_before(progress.step - 1)).phase)
    allowed = 0.0 if (progress.world_size, progress.threads) == (spec.ranks, spec.threads) else ACROSS_WORLDS
    before, now = progress.kernels | progress.versions, kernels(engine) | versions(LIBRARIES)
    changed = [f"{name} {now[name]} instead of {before.get(name)}" for name in now if now[name] != before.get(name)]
    if changed:
        allowed = ACROSS_KERNELS
        if dist.get_rank() == 0:
            said = f"resumed with {', '.join(changed)}: losses differ from here on in the last bits that bf16 has"
            log.write(METRICS, "note", progress.step, said=f"{said}, the probe row's may by {allowed:.1%}.")
    check(receipt, measure(engine, probe), allowed, spec.resume.name)
    return progress.state


def _observers(
    spec: RankSpec, engine: Engine, tokenizer: LoadedTokenizer, mixture: Mixture, log: RunLog
) -> list[Observer]:
    train, steps = spec.train, mixture.total_steps
    window = spec.mixture.phases[-1].row_tokens
    forgotten = Forgotten.load(spec.forget)
    validation = load_validation(
        spec.corpus, forgotten, tokenizer, window, train.validate_max_bytes, dist.get_rank(), spec.ranks
    )
    original: list[Observer] = []
    if spec.model.use is not None:
        texts = heldout_texts(spec.corpus, forgotten, train.validate_max_bytes)
        original = [Original(log, spec.model.use, texts, window, engine.device)]
    return [
        *original,
        Metrics(log, train.log_every_steps, steps, train.max_skipped_steps),
        Validator(log, engine, validation, train.validate_every_steps, steps),
        Sampler(log, engine, tokenizer, train, steps),
    ]
