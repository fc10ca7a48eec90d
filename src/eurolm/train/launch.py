"""Training as the rest of eurolm sees it: one call that starts the ranks, tells how it goes and how it ended.

Everything that can be decided without torch is decided here, before a process is started: whether training is
finished, which checkpoint is whole, what an earlier attempt left behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import read_json
from eurolm.artifacts.lease import lease
from eurolm.console import Reporter
from eurolm.errors import MachineError
from eurolm.machine.host import cores
from eurolm.mixture.mixture import Mixture
from eurolm.train import staging, store
from eurolm.train.batching import check_batches
from eurolm.train.inputs import (
    CHECKPOINTS,
    LEASE,
    MODEL,
    STOP_FILE,
    SUMMARY,
    RankSpec,
    TrainInputs,
    TrainOutcome,
    rank_spec,
    write_spec,
)
from eurolm.train.metrics import METRICS, cut_back, read_lines, write_line
from eurolm.train.processes import Rank, Starter, end, free_port, rank_environment, start_process, watch
from eurolm.train.progress import Follower, Narrator
from eurolm.train.settings import check_engine
from eurolm.train.stopping import ASKING
from eurolm.train.verdict import read_verdict

LEAST_ROOM = 2**20
"""Bytes on the run's file system below which a crash of the ranks is put down to it."""


def run_training(inputs: TrainInputs, reporter: Reporter, start: Starter = start_process) -> TrainOutcome:
    """Train on this host to the end of the mixture, or go on from the newest whole checkpoint.

    Raises ConfigError (impossible batch, another training's checkpoints), StoppedError (stopped in good order),
    NumericsError, ReceiptError, and MachineError when a rank died.
    """
    check_batches(inputs.config.mixture, inputs.config.train)
    check_engine(inputs.config.train)
    with lease(inputs.run_dir / LEASE):
        prepared = prepare(inputs, reporter, ranks_hold_lease=False)
        if isinstance(prepared, TrainOutcome):
            return prepared
        spec, total_steps = prepared
        step = store.read_progress(spec.resume).step if spec.resume else 0
        with reporter.task("train", total_steps, "steps") as task:
            narrator = Narrator(Follower(inputs.run_dir / METRICS), reporter, task, step, inputs.run_dir / STOP_FILE)
            try:
                _run_ranks(spec, start, narrator.tick)
            except MachineError as error:
                # A rank that ended with an error of its own says more in its verdict than its last lines do.
                if (said := read_verdict(spec.verdict)) is not None:
                    said.raise_error()
                if (free := shutil.disk_usage(inputs.run_dir).free) < LEAST_ROOM:
                    # Then it could write neither a verdict nor last lines.
                    raise MachineError(
                        f"{inputs.run_dir} has {free:,} bytes of room, too few to go on. The last whole checkpoint is "
                        "kept; make room and run the same command."
                    ) from error
                raise
            finally:
                staging.remove_leftovers(inputs.run_dir)
        return conclude(inputs, spec, reporter)


def prepare(inputs: TrainInputs, reporter: Reporter, ranks_hold_lease: bool) -> tuple[RankSpec, int] | TrainOutcome:
    """All that comes before the ranks: the checkpoint to go on from, leftovers removed, `spec.json` written.

    Returns the ranks' view and the steps of the whole training, or the outcome of one that is finished. The caller
    holds the lease.
    """
    mixture = Mixture.open(inputs.config.mixture, inputs.tokens, inputs.packs)
    finished = _finished(inputs, mixture.total_samples)
    if finished is not None:
        return finished
    found = store.newest_verified(inputs.run_dir / CHECKPOINTS, inputs.fingerprint, reporter.warn)
    _clean(inputs.run_dir, reporter)
    for note in mixture.notes:
        reporter.say(f"  {note}")
    cut_back(inputs.run_dir, found.progress.step if found else None)
    if found and found.progress.state.samples == mixture.total_samples:
        return _export(inputs, mixture, found, reporter)
    if found:
        world, ranks = found.progress.world_size, inputs.config.train.ranks
        other = f", saved by {world} ranks" if world != ranks else ""
        reporter.say(f"  resuming from {found.path.name}{other}", step=found.progress.step)
        values = {"samples": found.progress.state.samples, "saved_by_ranks": world, "ranks": ranks}
        write_line(inputs.run_dir, METRICS, "resume", found.progress.step, **values)
    attempt, logs = _new_attempt(inputs.run_dir)
    resume = found.path if found else None
    spec = rank_spec(inputs, attempt, _threads(inputs, ranks_hold_lease), resume, logs, ranks_hold_lease)
    write_spec(spec.file, spec)
    return spec, mixture.total_steps


def conclude(inputs: TrainInputs, spec: RankSpec, reporter: Reporter) -> TrainOutcome:
    """What the ranks' verdict says: the outcome with the exported model, or the error it records.

    Raises MachineError where there is no verdict: the ranks crashed.
    """
    verdict = read_verdict(spec.verdict)
    if verdict is None:
        raise MachineError(f"the ranks ended without a verdict. See {spec.logs}; the same command resumes.")
    verdict.raise_error()
    mixture = Mixture.open(inputs.config.mixture, inputs.tokens, inputs.packs)
    found = store.newest_verified(inputs.run_dir / CHECKPOINTS, inputs.fingerprint, reporter.warn)
    if found is None or found.progress.state.samples != mixture.total_samples:
        raise MachineError(f"the ranks said they were done, but the last checkpoint is not there. See {spec.logs}.")
    return _export(inputs, mixture, found, reporter)


def _export(inputs: TrainInputs, mixture: Mixture, found: store.Checkpoint, reporter: Reporter) -> TrainOutcome:
    """Export the last checkpoint of a training that has consumed all its samples."""
    from eurolm.train.export import export_checkpoint

    reporter.say("  exporting the model", step=found.progress.step)
    export_checkpoint(found.path, inputs.tokenizer, inputs.run_dir / MODEL, inputs.fingerprint, mixture.rows([0]))
    outcome = _finished(inputs, mixture.total_samples)
    if outcome is None:
        raise MachineError(f"{inputs.run_dir / MODEL} was exported, but is not there. Run the same command again.")
    return TrainOutcome(**{**vars(outcome), "worked": True})


def _finished(inputs: TrainInputs, total_samples: int) -> TrainOutcome | None:
    """The outcome of a training that had been finished, else None."""
    model = inputs.run_dir / MODEL
    if not (model / SUMMARY).exists():
        return None
    summary: dict[str, Any] = read_json(model / SUMMARY)
    if summary["fingerprint"] != inputs.fingerprint or summary["samples"] != total_samples:
        return None
    resumed = [line["step"] for line in read_lines(inputs.run_dir / METRICS, "resume")]
    return TrainOutcome(
        model, summary["step"], summary["samples"], summary["skipped_steps"], resumed_from=resumed, worked=False
    )


def _clean(run_dir: Path, reporter: Reporter) -> None:
    """Remove what a killed attempt left, and a stop request that nobody was there to obey."""
    staging.remove_leftovers(run_dir)
    for name in store.remove_leftovers(run_dir / CHECKPOINTS):
        reporter.say(f"  removed {name}, left by an attempt that was killed")
    stop = run_dir / STOP_FILE
    if stop.exists():
        reporter.say(f"  removed the stop request {stop}, made before this start")
        stop.unlink()


def _new_attempt(run_dir: Path) -> tuple[str, Path]:
    """A name for this attempt, and its log directory."""
    job = os.environ.get("SLURM_JOB_ID", "local")
    number = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    while True:
        logs = run_dir / "logs" / f"train-{job}-{number}"
        try:
            logs.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return f"{job}-{number}", logs


def _threads(inputs: TrainInputs, in_job: bool) -> int:
    train = inputs.config.train
    per_task = os.environ.get("SLURM_CPUS_PER_TASK") if in_job else None
    return train.threads_per_rank or int(per_task or 0) or max(1, cores() // train.ranks)


def _run_ranks(spec: RankSpec, start: Starter, tick: Callable[[], None]) -> None:
    port = free_port()
    ranks: list[Rank] = []
    with _stop_file_on_signal(spec.run_dir / STOP_FILE, ranks):
        try:
            for number in range(spec.ranks):
                log = spec.logs / f"rank-{number}.log"
                ranks.append(Rank(number, start(spec.file, rank_environment(spec, number, port), log), log))
            watch(ranks, tick)
        finally:
            end(ranks)
            tick()


@contextmanager
def _stop_file_on_signal(stop: Path, ranks: list[Rank]) -> Iterator[None]:
    """SIGTERM, SIGUSR1 and the first Ctrl-C ask for a stop in good order; a second Ctrl-C ends the ranks."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: object) -> None:
        if number == signal.SIGINT and stop.exists():
            end(ranks)
            stop.unlink(missing_ok=True)
            raise KeyboardInterrupt
        stop.touch()

    before = {number: signal.signal(number, handle) for number in ASKING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
