"""kill -9 inside steps, saves, copies and commits at ZeRO 1, 2 and 3: the same hex losses, every sample once.

Ten seeded moments of each kind and stage under `--long`, one of each in CI.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.train.aimed import KINDS, aim, consumed, log_samples
from tests.train.conftest import ROWS, STEPS, Data, losses
from tests.train.driver import start_attempt

from eurolm.train import staging
from eurolm.train.metrics import read_lines

SAVE_OFTEN = 1e-6
SEEDS = range(10)
CASES = [
    pytest.param(stage, kind, seed, marks=[pytest.mark.long] if seed else [], id=f"zero{stage}-{kind}-{seed}")
    for stage in (1, 2, 3)
    for kind in KINDS
    for seed in SEEDS
]


@pytest.mark.parametrize(("stage", "kind", "seed"), CASES)
def test_killed_and_resumed_equals_undisturbed(
    stage: int, kind: str, seed: int, context: Any, data: Data, run_dir: Path, undisturbed_at: Callable[..., Path]
) -> None:
    reference = undisturbed_at(stage)
    inputs = data.inputs(run_dir, save_every_minutes=SAVE_OFTEN, zero_stage=stage)
    note, before, after = (run_dir.with_name(name) for name in ("struck", "before", "after"))
    before.mkdir()
    after.mkdir()
    strike = aim(kind, 100 * stage + seed, STEPS, note)
    first = start_attempt(context, inputs, Prepared(strike, before))
    first.process.join(90)
    assert first.process.exitcode == -9, note
    assert not (run_dir / "model").exists()
    said = start_attempt(context, inputs, Prepared(None, after)).wait()
    assert said["worked"], said
    (resumed,) = [line["samples"] for line in read_lines(run_dir / "metrics.jsonl", "resume")] or [0]
    print(f"ZeRO-{stage}: killed in {note.read_text()}; resumed from step {resumed // ROWS}")
    assert losses(run_dir) == losses(reference)
    # What the first attempt had done up to the checkpoint, and what the second did after it, is everything once.
    early = [sample for sample in consumed(before) if sample < resumed]
    assert sorted(early + consumed(after)) == list(range(STEPS * ROWS))
    assert not staging.memory_home(run_dir).exists()
    assert not list(run_dir.rglob("*.partial-*"))


class Prepared:
    """Runs in the driver: the kill is armed, the samples of every rank are logged. Pickled, hence no closure."""

    def __init__(self, strike: Callable[[], None] | None, place: Path) -> None:
        self.strike, self.place = strike, place

    def __call__(self) -> None:
        if self.strike is not None:
            self.strike()
        log_samples(self.place)
