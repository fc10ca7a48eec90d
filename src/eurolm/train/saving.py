"""Checkpoints from the side of the ranks: save to staging, let the copier carry, commit when it has.

Training is blocked only while the ranks save; copying, hashing and flushing go on beside the next steps. Rank 0 alone
watches the clock and the copier, and what it finds travels in the step's agreement.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from eurolm.artifacts.atomic import PARTIAL_MARK
from eurolm.errors import MachineError
from eurolm.machine.host import versions
from eurolm.train import staging, store
from eurolm.train.copier import Copier, Order
from eurolm.train.engine import Engine
from eurolm.train.inputs import RankSpec
from eurolm.train.metrics import METRICS, flush, write_line
from eurolm.train.state import TrainState
from eurolm.train.step import StepRecord, Wishes

LIBRARIES = ("deepspeed", "torch", "transformers")


@dataclass(frozen=True)
class _Pending:
    """A checkpoint on its way."""

    step: int
    partial: Path
    final: Path
    began: float
    blocked_s: float


class Saver:
    """Saves when the clock or a stop asks for it, and at the end. `copier` is None except on a node's first rank."""

    def __init__(self, spec: RankSpec, engine: Engine, copier: Copier | None, saved_samples: int) -> None:
        self.spec, self.engine, self.copier = spec, engine, copier
        self.saved_samples = saved_samples
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", self.world))
        self.node, self.nodes = self.rank // self.ranks_here, -(-self.world // self.ranks_here)
        self.last_save = time.monotonic()
        self.pending: _Pending | None = None

    def wishes(self) -> Wishes:
        """What this rank would like: to save when it is time, to give up when the copier has failed."""
        due = time.monotonic() - self.last_save >= self.spec.train.save_every_minutes * 60
        return Wishes(
            save=self.rank == 0 and due and self.pending is None,
            give_up=self.copier is not None and self.copier.failure() is not None,
        )

    def started(self) -> None:
        """The clock of saves starts with the first step, not with the imports."""
        self.last_save = time.monotonic()

    def stepped(self, record: StepRecord, state: TrainState) -> None:
        """Commit what has arrived; save when the ranks agreed to."""
        self._commit_if_arrived()
        if record.agreed.give_up:
            raise MachineError(self._failure())
        if record.agreed.save:
            self._save(record.step, state)

    def finish(self, step: int, state: TrainState) -> None:
        """Save the last state unless it is saved, and wait until all is committed."""
        self._wait()
        if state.samples != self.saved_samples:
            self._save(step, state)
            self._wait()

    def _save(self, step: int, state: TrainState) -> None:
        began = time.monotonic()
        name = store.step_name(step)
        partial = self.spec.checkpoints / f"{name}{PARTIAL_MARK}{self.spec.attempt}"
        scratch = self._stage(name)
        # universal_checkpoint_info: without it a later conversion to another world size fails (DeepSpeed issue 5430).
        client: dict[str, Any] = {"universal_checkpoint_info": {}}
        try:
            if self.rank == 0:
                progress = store.Progress(step, state, self.world, self.spec.threads, versions(LIBRARIES))
                store.begin(partial, progress)
            self.engine.deepspeed.save_checkpoint(
                str(scratch), tag=store.ENGINE, client_state=client, save_latest=False
            )
        except (OSError, RuntimeError) as error:
            raise MachineError(f"checkpoint {name} could not be saved to {scratch}: {error}") from error
        dist.barrier()
        if self.copier is not None:
            part = partial / store.PART.format(node=self.node)
            self.copier.submit(
                Order(str(scratch / store.ENGINE), str(partial / store.ENGINE), str(partial), str(part), str(scratch))
            )
        self.saved_samples = state.samples
        self.last_save = time.monotonic()
        final = self.spec.checkpoints / name
        self.pending = _Pending(step, partial, final, began, self.last_save - began) if self.rank == 0 else None

    def _stage(self, name: str) -> Path:
        """The staging directory, in memory if every node has room; made by the first rank of each node."""
        parameters = sum(parameter.numel() for parameter in self.engine.model.parameters())
        needed = staging.checkpoint_bytes(parameters, self.world, self.ranks_here)
        fits = torch.tensor([staging.fits_in_memory(needed)], dtype=torch.int64, device=self.engine.device)
        dist.all_reduce(fits, op=dist.ReduceOp.MIN)
        in_memory = bool(fits.item())
        if self.copier is not None:
            staging.make(self.spec.run_dir, self.spec.checkpoints, name, in_memory)
        dist.barrier()
        return staging.place(self.spec.run_dir, self.spec.checkpoints, name, in_memory)

    def _commit_if_arrived(self) -> None:
        pending = self.pending
        if pending is None or not store.parts_arrived(pending.partial, self.nodes):
            return
        flush(self.spec.run_dir)
        size = store.commit(pending.partial, pending.final, self.nodes, self.spec.fingerprint)
        store.retain(self.spec.checkpoints, self.spec.train.keep_checkpoints)
        write_line(
            self.spec.run_dir,
            METRICS,
            "checkpoint",
            pending.step,
            bytes=size,
            blocked_s=round(pending.blocked_s, 3),
            seconds=round(time.monotonic() - pending.began, 3),
        )
        self.pending = None

    def _wait(self) -> None:
        """Wait until the checkpoint on its way is committed; every rank learns together whether it worked."""
        while True:
            self._commit_if_arrived()
            flags = torch.tensor([self.pending is not None, self.wishes().give_up], dtype=torch.int64)
            flags = flags.to(self.engine.device)
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)
            waiting, failed = flags.tolist()
            if failed:
                raise MachineError(self._failure())
            if not waiting:
                return
            time.sleep(0.02)

    def _failure(self) -> str:
        """What the copier that failed said, the same on every rank."""
        words: list[str | None] = [None] * self.world
        dist.all_gather_object(words, self.copier.failure() if self.copier is not None else None)
        said = next((word for word in words if word), "the copier ended")
        free = shutil.disk_usage(self.spec.checkpoints).free
        return (
            f"a checkpoint could not be written to {self.spec.checkpoints} ({free / 1e9:,.1f} GB free): "
            f"{said}. The last complete one is kept; make room and run the same command."
        )
