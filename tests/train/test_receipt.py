"""The receipt catches what goes wrong after the files were read; hashes catch what goes wrong in them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.train.conftest import Data
from tests.train.driver import start_attempt

from eurolm.train.metrics import read_lines
from eurolm.train.receipt import ACROSS_KERNELS, ACROSS_WORLDS, Receipt, differences


def after_load(harm: Callable[[Any], None]) -> None:
    """Let `harm` happen to the engine of every rank once a checkpoint is loaded."""
    from eurolm.train import worker

    load = worker.load_tensors

    def loading(engine: Any, *arguments: Any) -> None:
        load(engine, *arguments)
        harm(engine)

    worker.load_tensors = loading


def moments_zeroed(engine: Any) -> None:
    from eurolm.train.shards import segments

    for segment in segments(engine):
        if segment.state == "exp_avg":
            segment.values.zero_()


def one_element_changed(engine: Any) -> None:
    """The last bit of one master, on the rank that holds it; its bf16 weight stays as it was."""
    import torch

    from eurolm.train.shards import segments

    for segment in segments(engine):
        if segment.parameter == "model.norm.weight" and segment.state == "master" and segment.start == 0:
            segment.values.view(torch.int32)[0] ^= 1


def a_tensor_skipped(engine: Any) -> None:
    from eurolm.train.shards import segments

    for segment in segments(engine):
        if segment.parameter.endswith("1.mlp.up_proj.weight") and segment.state == "exp_avg_sq":
            segment.values.fill_(1e-8)


def elements_swapped(engine: Any) -> None:
    """The plain sum stays the same; the sum by place does not."""
    from eurolm.train.shards import segments

    for segment in segments(engine):
        if segment.parameter == "model.embed_tokens.weight" and segment.state == "master" and segment.start == 0:
            segment.values[:2] = segment.values[:2].flip(0).clone()


def step_off_by_one(engine: Any) -> None:
    for state in engine.deepspeed.optimizer.optimizer.state.values():
        if "step" in state:
            state["step"] += 1


def another_rotary_base(engine: Any) -> None:
    """No tensor of the checkpoint changes, but the model computes something else."""
    from eurolm.model.rope import set_rope_theta

    set_rope_theta(engine.model, 20_000.0)


FAULTS = {
    moments_zeroed: "exp_avg",
    one_element_changed: "model.norm.weight: master",
    a_tensor_skipped: r"layers.1.mlp.up_proj.weight: exp_avg_sq",
    elements_swapped: "model.embed_tokens.weight: master",
    step_off_by_one: "step counter",
    another_rotary_base: "loss of the probe row",
}


@pytest.mark.parametrize("stage", [1, 3])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_after_loading_stops_before_the_first_step(
    stage: int, fault: Callable[[Any], None], context: Any, data: Data, run_dir: Path, stopped_at: Callable[..., Path]
) -> None:
    shutil.copytree(stopped_at(stage), run_dir)
    before = (run_dir / "metrics.jsonl").read_bytes()
    said = start_attempt(context, data.inputs(run_dir, zero_stage=stage), partial(after_load, fault)).wait()
    assert (said["error"], said["exit_code"]) == ("ReceiptError", 11)
    assert FAULTS[fault] in said["message"]
    after = (run_dir / "metrics.jsonl").read_bytes()
    assert b'"event": "step"' not in after[len(before) :]


def test_another_attention_kernel_is_said_and_refused_by_nobody(
    context: Any, data: Data, run_dir: Path, stopped_at: Callable[..., Path]
) -> None:
    """It rounds the probe row's loss elsewhere, which proves nothing against what was loaded."""
    shutil.copytree(stopped_at(1), run_dir)
    said = start_attempt(context, data.inputs(run_dir, attention="sdpa")).wait()
    assert said["worked"], said["message"]
    (note,) = read_lines(run_dir / "metrics.jsonl", "note")
    assert "attention sdpa instead of eager" in note["said"]


RECEIPT = Receipt({"a": {"master": [1, 2], "weight": [3, 4]}}, {"a": 7}, (1.5).hex())


@pytest.mark.parametrize(
    ("found", "allowed", "said"),
    [
        (RECEIPT, 0.0, []),
        (Receipt(RECEIPT.sums, RECEIPT.steps, (1.5 + 1e-9).hex()), ACROSS_WORLDS, []),
        (Receipt(RECEIPT.sums, RECEIPT.steps, (1.5 + 1e-9).hex()), 0.0, ["loss of the probe row"]),
        (Receipt(RECEIPT.sums, RECEIPT.steps, (1.5 + 3e-5).hex()), ACROSS_WORLDS, ["loss of the probe row"]),
        (Receipt(RECEIPT.sums, RECEIPT.steps, (1.5 + 3e-5).hex()), ACROSS_KERNELS, []),
        (Receipt(RECEIPT.sums, RECEIPT.steps, (1.51).hex()), ACROSS_KERNELS, ["loss of the probe row"]),
        (Receipt(RECEIPT.sums, RECEIPT.steps, float("nan").hex()), ACROSS_WORLDS, ["loss of the probe row"]),
        (Receipt({"a": {"master": [1, 2]}}, {"a": 7}, RECEIPT.probe_loss), 0.0, ["a: weight"]),
        (
            Receipt({"a": {"master": [1, 3], "weight": [3, 4]}}, {}, RECEIPT.probe_loss),
            0.0,
            ["a: master", "step counter"],
        ),
    ],
)
def test_differences_are_named(found: Receipt, allowed: float, said: list[str]) -> None:
    sentences = differences(RECEIPT, found, allowed)
    assert len(sentences) == len(said)
    assert all(part in sentence for part, sentence in zip(said, sentences, strict=True))


def test_sums_do_not_depend_on_the_cut() -> None:
    import torch

    from eurolm.train.measure import bit_sums

    values = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    whole = bit_sums(values, 0)
    assert torch.equal(whole, bit_sums(values[:333], 0) + bit_sums(values[333:], 333))
    assert not torch.equal(whole, bit_sums(values.roll(1), 0))
