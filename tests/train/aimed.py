"""SIGKILL of the whole training from inside, at seeded moments: wall-clock kills mostly hit imports.

An aim is installed in the driver before it forks the ranks, so the ranks carry it. Each says where it struck.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

KINDS = ("step", "save", "carry")
WORLD = 2


def strike(note: Path, where: str) -> None:
    """Leave a word and kill the process group: driver, ranks and copier."""
    note.write_text(where)
    os.killpg(0, signal.SIGKILL)


def aim(kind: str, seed: int, steps: int, note: Path) -> Callable[[], None]:
    """What the driver runs first; the kill comes at a place drawn from `seed`."""
    return partial({"step": _in_a_step, "save": _in_a_save, "carry": _in_copy_or_commit}[kind], seed, steps, note)


def _in_a_step(seed: int, steps: int, note: Path) -> None:
    """On one rank, in one step: in the forward pass, before the last backward, before or after the update."""
    from eurolm.train import engine, loss, step

    draw = random.Random(seed)
    victim, number = draw.randrange(WORLD), draw.randrange(3, steps - 2)
    place = draw.choice(["forward", "agreement", "before the update", "after the update"])
    done = 0
    update, agree, forward = engine.Engine.step, step.agree, loss.CausalLoss.forward

    def here(name: str) -> None:
        if name == place and done == number and int(os.environ["RANK"]) == victim:
            strike(note, f"step {number + 1}, {place}, rank {victim}")

    def counted(self: Any) -> bool:
        nonlocal done
        here("before the update")
        applied = update(self)
        here("after the update")
        done += 1
        return applied

    def agreeing(*arguments: Any) -> Any:
        here("agreement")
        return agree(*arguments)

    def running(self: Any, *arguments: Any) -> Any:
        here("forward")
        return forward(self, *arguments)

    engine.Engine.step, step.agree, loss.CausalLoss.forward = counted, agreeing, running


def _in_a_save(seed: int, _steps: int, note: Path) -> None:
    """In one of the first saves: after some of a rank's tensors, or before or after the receipt."""
    from eurolm.train import saving, tensors

    draw = random.Random(seed)
    victim, save = draw.randrange(WORLD), draw.randrange(2, 6)
    place = draw.choice(["receipt", "tensors", "tensors", "tensors", "written"])
    share, count = draw.random(), 0
    measure, write = saving.measure, tensors.write_tensors

    def here(name: str) -> None:
        if name == place and count == save and int(os.environ["RANK"]) == victim:
            strike(note, f"save {save}, {place}, rank {victim}")

    def measured(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        here("receipt")
        return measure(*arguments)

    def written(path: Path, entries: dict[str, Any]) -> None:
        names = list(entries)
        doomed = names[int(share * len(names))]
        make = entries[doomed].make

        def making() -> Any:
            here("tensors")
            return make()

        object.__setattr__(entries[doomed], "make", making)
        write(path, entries)
        here("written")

    saving.measure, tensors.write_tensors = measured, written


def _in_copy_or_commit(seed: int, _steps: int, note: Path) -> None:
    """While the copier works, or at one of the points of a commit on rank 0."""
    from eurolm.train import saving, store

    draw = random.Random(seed)
    save = draw.randrange(2, 5)
    place = draw.choice(["copy", "copy", "before", "manifest", "renamed", "retained"])
    delay_s, orders, commits = draw.random() * 0.02, 0, 0
    submit, commit, manifest, retain = saving.Copier.submit, store.commit, store.write_manifest, store.retain

    def here(name: str) -> None:
        if name == place and commits == save:
            strike(note, f"commit {save}, {place}")

    def submitted(self: Any, order: Any) -> None:
        nonlocal orders
        submit(self, order)
        orders += 1
        if place == "copy" and orders == save:
            time.sleep(delay_s)
            strike(note, f"copy {save}, {1000 * delay_s:.1f} ms after the order")

    def committed(*arguments: Any) -> int:
        nonlocal commits
        commits += 1
        here("before")
        size = commit(*arguments)
        here("renamed")
        return size

    def sealed(*arguments: Any) -> None:
        manifest(*arguments)
        here("manifest")

    def retained(*arguments: Any) -> None:
        retain(*arguments)
        here("retained")

    saving.Copier.submit, store.commit, store.write_manifest, store.retain = submitted, committed, sealed, retained


def log_samples(place: Path) -> None:
    """Make every rank append the samples it consumes to a file of its own in `place`."""
    from eurolm.train import loop

    cut = loop.micro_batches

    def logged(mixture: Any, samples: range, *rest: Any) -> Any:
        with (place / f"samples-{os.environ['RANK']}.jsonl").open("a") as stream:
            stream.write(json.dumps(list(samples)) + "\n")
        return cut(mixture, samples, *rest)

    loop.micro_batches = logged


def consumed(place: Path) -> list[int]:
    """Samples that all ranks consumed, in no order."""
    return [
        sample
        for path in place.glob("samples-*.jsonl")
        for line in path.read_text().splitlines()
        for sample in json.loads(line)
    ]
