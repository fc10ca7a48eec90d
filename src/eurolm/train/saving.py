"""Checkpoints from the side of the ranks: save to staging, let the copier carry, commit when it has.

Training is blocked only while the ranks save; copying, hashing and flushing go on beside the next steps. Rank 0 alone
watches the clock, every node's first rank its copier, and what they find travels in the step's agreement. A save that
fails (full disk) costs nothing but itself: the run goes on with the checkpoint before it, says so, and tries again.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from eurolm.artifacts.atomic import PARTIAL_MARK, write_json
from eurolm.errors import MachineError
from eurolm.machine.host import versions
from eurolm.train import staging, store
from eurolm.train.copier import Copier, Order
from eurolm.train.engine import Engine
from eurolm.train.export import describe_model
from eurolm.train.inputs import RankSpec
from eurolm.train.measure import kernels, measure
from eurolm.train.metrics import METRICS, RunLog
from eurolm.train.state import TrainState
from eurolm.train.step import StepRecord, Wishes
from eurolm.train.tensors import save_tensors

LIBRARIES = ("deepspeed", "torch", "transformers")
RETRY_AFTER_S = 60.0
"""Seconds after which a failed save is tried again, unless the next one is due earlier."""
LAST_TRIES = 3
"""Attempts to save the last state of a run before giving up."""


@dataclass(frozen=True)
class _Pending:
    """A checkpoint on its way."""

    step: int
    partial: Path
    final: Path
    scratch: Path
    permanent: bool
    began: float
    blocked_s: float


class Saver:
    """Saves when the clock, a permanent mark or a stop asks for it, and at the end.

    `copier` is None except on a node's first rank; `probe` computes the loss of the receipt's row.
    """

    def __init__(
        self,
        spec: RankSpec,
        engine: Engine,
        copier: Copier | None,
        probe: Callable[[], float],
        state: TrainState,
        log: RunLog,
    ) -> None:
        self.log = log
        self.spec, self.engine, self.copier, self.probe = spec, engine, copier, probe
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", self.world))
        self.node, self.nodes = self.rank // self.ranks_here, -(-self.world // self.ranks_here)
        self.save_every_s = spec.train.save_every_minutes * 60
        self.due_at = time.monotonic() + self.save_every_s
        self.longest_s: float | None = None
        """Seconds of the longest save so far, from its beginning to its commit; known on rank 0."""
        self.pending: _Pending | None = None
        """The last checkpoint that was begun; rank 0 forgets it when it is committed."""
        self.saves = 0
        self.saved_samples: int | None = state.samples
        self.marks = self._marks(state)
        self.owes_permanent = False
        self.words: str | None = None
        """What went wrong with the checkpoint on its way, on the rank that knows."""

    def wishes(self) -> Wishes:
        """What this rank would like: to save when it is time, to be heard when its copier failed."""
        save = self.rank == 0 and time.monotonic() >= self.due_at and self.pending is None
        return Wishes(save=save, save_failed=self._failed())

    def started(self) -> None:
        """The clock of saves starts with the first step, not with the imports."""
        self.due_at = time.monotonic() + self.save_every_s

    def stepped(self, record: StepRecord, state: TrainState) -> None:
        """Commit what has arrived; save when the ranks agreed to, or when a permanent mark is passed."""
        self._commit_if_arrived()
        if record.agreed.save_failed:
            self._drop()
        marks = self._marks(state)
        if marks > self.marks:
            self._settle()
            self.marks, self.owes_permanent = marks, True
        elif not record.agreed.save:
            return
        self._save(record.step, state)

    def finish(self, step: int, state: TrainState) -> None:
        """Save the last state unless it is saved, and wait until all is committed.

        Raises MachineError when that fails again and again.
        """
        for _ in range(LAST_TRIES):
            said = self._settle()
            if state.samples == self.saved_samples:
                return
            self._save(step, state)
        said = self._settle()
        if state.samples != self.saved_samples:
            free = shutil.disk_usage(self.spec.checkpoints).free
            raise MachineError(
                f"the last checkpoint could not be written to {self.spec.checkpoints} ({free / 1e9:,.1f} GB free) in "
                f"{LAST_TRIES} attempts: {said}. The last complete one is kept; make room and run the same command."
            )

    def _save(self, step: int, state: TrainState) -> None:
        began = time.monotonic()
        name = store.step_name(step)
        self.saves += 1
        partial = self.spec.checkpoints / f"{name}{PARTIAL_MARK}{self.spec.attempt}-{self.saves}"
        receipt = measure(self.engine, self.probe)
        scratch = self._stage(f"{name}-{self.saves}")
        permanent, self.owes_permanent = self.owes_permanent, False
        place = partial
        try:
            if self.rank == 0:
                libraries = versions(LIBRARIES)
                progress = store.Progress(
                    step, state, self.world, self.spec.threads, libraries, permanent, kernels(self.engine)
                )
                store.begin(partial, progress)
                write_json(partial / store.RECEIPT, asdict(receipt))
                describe_model(self.engine.model, partial / store.MODEL)
            place = scratch
            save_tensors(self.engine, scratch)
        except OSError as error:
            # What fails to write, not to open, does not say where.
            self.words = f"{error.strerror}: {error.filename or place}"
        self.saved_samples, now = state.samples, time.monotonic()
        self.due_at = now + self.save_every_s
        final = self.spec.checkpoints / name
        self.pending = _Pending(step, partial, final, scratch, permanent, began, now - began)
        if any(self._told(self.words)):
            self._drop()
        elif self.copier is not None:
            part = partial / store.PART.format(node=self.node)
            self.copier.submit(Order(str(scratch), str(partial / store.TENSORS), str(partial), str(part), str(scratch)))

    def _stage(self, name: str) -> Path:
        """The staging directory, in memory if every node has room; made by the first rank of each node."""
        parameters = sum(getattr(weight, "ds_numel", weight.numel()) for weight in self.engine.model.parameters())
        needed = staging.checkpoint_bytes(parameters, self.world, self.ranks_here)
        fits = torch.tensor([staging.fits_in_memory(needed)], dtype=torch.int64, device=self.engine.device)
        dist.all_reduce(fits, op=dist.ReduceOp.MIN)
        in_memory = bool(fits.item())
        if self.copier is not None:
            try:
                staging.make(self.spec.run_dir, self.spec.checkpoints, name, in_memory)
            except OSError as error:
                self.words = f"{error.strerror}: {error.filename}"
        dist.barrier()
        return staging.place(self.spec.run_dir, self.spec.checkpoints, name, in_memory)

    def _commit_if_arrived(self) -> None:
        pending = self.pending
        if self.rank != 0 or self.words or pending is None or not store.parts_arrived(pending.partial, self.nodes):
            return
        try:
            self.log.flush()
            size = store.commit(pending.partial, pending.final, self.nodes, self.spec.fingerprint)
        except OSError as error:
            self.words = f"{error.strerror}: {error.filename or pending.final}"
            return
        store.retain(self.spec.checkpoints, self.spec.train.keep_checkpoints)
        seconds = time.monotonic() - pending.began
        self.longest_s = max(self.longest_s or 0.0, seconds)
        self.log.write(
            METRICS,
            "checkpoint",
            pending.step,
            bytes=size,
            blocked_s=round(pending.blocked_s, 3),
            seconds=round(seconds, 3),
            permanent=pending.permanent,
        )
        self.pending = None

    def _settle(self) -> str | None:
        """Wait for the checkpoint on its way; what went wrong with it, or None. Every rank learns the same."""
        while True:
            self._commit_if_arrived()
            waiting = self.rank == 0 and self.pending is not None
            flags = torch.tensor([waiting, self._failed()], dtype=torch.int64, device=self.engine.device)
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)
            waiting, failed = flags.tolist()
            if failed:
                return self._drop()
            if not waiting:
                return None
            time.sleep(0.02)

    def _failed(self) -> bool:
        """Whether this rank knows that the checkpoint on its way will not arrive."""
        while self.copier is not None and self.words is None and (failure := self.copier.failure()) is not None:
            # An order of a checkpoint that was dropped already fails because its place was removed.
            if self.pending is not None and Path(failure.root) == self.pending.partial:
                self.words = failure.error
        return self.words is not None

    def _drop(self) -> str:
        """Give the checkpoint on its way up, on all ranks together; training goes on. Returns why."""
        said = next((words for words in self._told(self.words) if words), "unknown")
        pending, self.pending, self.words, self.saved_samples = self.pending, None, None, None
        self.due_at = time.monotonic() + min(RETRY_AFTER_S, self.save_every_s)
        if pending is not None:
            self.owes_permanent = pending.permanent
            if self.copier is not None:
                shutil.rmtree(pending.scratch, ignore_errors=True)
            if self.rank == 0:
                shutil.rmtree(pending.partial, ignore_errors=True)
                self.log.write(METRICS, "save_failed", pending.step, cause=said)
        return said

    def _told(self, words: str | None) -> list[str | None]:
        """What every rank says."""
        said: list[str | None] = [None] * self.world
        dist.all_gather_object(said, words)
        return said

    def _marks(self, state: TrainState) -> int:
        """Permanent marks passed: a function of samples, so that all ranks agree."""
        every = self.spec.train.permanent_every_tokens
        return int(self.spec.mixture.tokens_of(state.samples) // every) if every else 0
