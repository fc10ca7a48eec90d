"""Another number of ranks: the receipt is exact, the next loss the same, no sample lost or doubled."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.train.aimed import consumed
from tests.train.conftest import OPTIMIZERS, ROWS, STEPS, Data, losses
from tests.train.driver import start_attempt
from tests.train.test_kills import Prepared

from eurolm.train.metrics import read_lines

FIRST, LATER = 1e-6, 2e-4
"""Relative differences of the first loss after the resume, and of the ten that follow."""
WATCHED = 10


@pytest.mark.parametrize(
    ("stage", "before", "after", "optimizer"),
    [(stage, before, after, "calm") for stage in (1, 2, 3) for before, after in ((2, 1), (1, 2), (2, 4))]
    + [(1, 2, 1, "muon"), (2, 2, 4, "muon")],
)
def test_another_number_of_ranks_goes_on(
    stage: int,
    before: int,
    after: int,
    optimizer: str,
    context: Any,
    data: Data,
    run_dir: Path,
    undisturbed_at: Callable[..., Path],
    stopped_at: Callable[..., Path],
) -> None:
    """A receipt that differed would have ended the attempt with 11."""
    shutil.copytree(stopped_at(stage, before, optimizer), run_dir)
    log = run_dir.with_name("log")
    log.mkdir()
    inputs = data.inputs(run_dir, zero_stage=stage, ranks=after, optimizer=OPTIMIZERS[optimizer])
    said = start_attempt(context, inputs, Prepared(None, log)).wait()
    assert said["worked"], said
    (line,) = read_lines(run_dir / "metrics.jsonl", "resume")
    assert (line["saved_by_ranks"], line["ranks"]) == (before, after)
    assert sorted(consumed(log)) == list(range(line["samples"], STEPS * ROWS))
    assert [step for step, _ in losses(run_dir)] == list(range(1, STEPS + 1))
    compare(losses(run_dir), losses(undisturbed_at(stage, before, optimizer)), line["step"])


def compare(found: list[tuple[int, str]], expected: list[tuple[int, str]], resumed: int) -> None:
    ours, theirs = ([float.fromhex(loss) for _, loss in line] for line in (found, expected))
    assert ours[:resumed] == theirs[:resumed]
    apart = [abs(a - b) / b for a, b in zip(ours[resumed:], theirs[resumed:], strict=True)]
    print(f"first {apart[0]:.1e}, greatest of the next {WATCHED} {max(apart[1 : WATCHED + 1]):.1e}")
    assert apart[0] <= FIRST
    assert max(apart[1 : WATCHED + 1]) <= LATER
    assert ours[-1] < ours[0] - 0.2


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2), (3, 0), (0, 1)])
def test_another_zero_stage_goes_on(
    before: int, after: int, context: Any, data: Data, run_dir: Path, stopped_at: Callable[..., Path]
) -> None:
    shutil.copytree(stopped_at(before), run_dir)
    said = start_attempt(context, data.inputs(run_dir, zero_stage=after)).wait()
    assert said["worked"], said
    assert losses(run_dir)[: len(losses(stopped_at(before)))] == losses(stopped_at(before))
    assert float.fromhex(losses(run_dir)[-1][1]) < float.fromhex(losses(run_dir)[0][1]) - 0.5
