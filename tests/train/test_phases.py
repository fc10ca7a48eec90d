"""Phases of one run: a longer context on another rotary base, parts that are frozen at first, forks that anneal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.train.conftest import ROW_TOKENS, ROWS, STEPS, Data, losses, small_config
from tests.train.driver import start_attempt

from eurolm.config.model import Config
from eurolm.config.tokens import MixtureConfig
from eurolm.model.build import build_model
from eurolm.tokenizer.load import load
from eurolm.train.changes import keeps_history
from eurolm.train.metrics import read_lines

FIRST_STEPS, SECOND_STEPS = 12, 10


def two_phases(**train: Any) -> Config:
    """Rows twice as long in the second phase, half as many of them, on another rotary base."""
    config = small_config(FIRST_STEPS, **train)
    longer = {"tokens": SECOND_STEPS * ROWS * ROW_TOKENS, "row_tokens": 2 * ROW_TOKENS, "batch_rows": ROWS // 2}
    longer |= {"rope_theta": 50_000.0, "max_epochs": 100, "micro_batch_rows": 1}
    phases = [config.mixture.phases[0].model_dump(), longer]
    return config.model_copy(update={"mixture": MixtureConfig.model_validate({"phases": phases})})


def test_a_longer_context_on_another_base_resumes_exactly(context: Any, data: Data, run_dir: Path) -> None:
    reference = run_dir.with_name("reference")
    assert start_attempt(context, data.of(two_phases(), reference)).wait()["worked"]
    inputs = data.of(two_phases(save_every_minutes=1e-6), run_dir)
    assert start_attempt(context, inputs).kill_when(lambda: len(losses(run_dir)) >= FIRST_STEPS + 5)
    assert start_attempt(context, inputs).wait()["worked"]
    (resumed,) = [line["step"] for line in read_lines(run_dir / "metrics.jsonl", "resume")]
    assert resumed > FIRST_STEPS
    assert losses(run_dir) == losses(reference)
    tokens = [line["tokens"] for line in read_lines(run_dir / "metrics.jsonl", "step")]
    assert set(tokens) == {ROWS * ROW_TOKENS}
    config = json.loads((run_dir / "model" / "config.json").read_text())
    assert config["rope_parameters"]["rope_theta"] == 50_000.0


def test_the_first_phase_does_not_know_of_the_second(context: Any, data: Data, run_dir: Path) -> None:
    schedule = {"schedule": {"warmup_tokens": 0, "decay_share": 0.0}}
    assert start_attempt(context, data.of(two_phases(**schedule), run_dir)).wait()["worked"]
    alone = run_dir.with_name("alone")
    assert start_attempt(context, data.of(small_config(FIRST_STEPS, **schedule), alone)).wait()["worked"]
    assert losses(run_dir)[:FIRST_STEPS] == losses(alone)


def test_a_frozen_body_keeps_its_weights_while_the_embedding_learns(context: Any, data: Data, run_dir: Path) -> None:
    freeze = {"body": {"until_tokens": 10**9}}
    inputs = data.inputs(run_dir, steps=8, freeze=freeze)
    assert start_attempt(context, inputs).wait()["worked"]
    tokenizer = load(inputs.tokenizer)
    before = build_model(inputs.config.model, tokenizer.vocab_size, tokenizer.eod_id).state_dict()
    after = load_file(run_dir / "model" / "model.safetensors")
    for name, weights in after.items():
        same = torch.equal(weights, before[name].to(torch.bfloat16))
        assert same == (name != "model.embed_tokens.weight"), name


def output(*phases: dict[str, Any], seed: int = 1, name: str = "adamw") -> dict[str, Any]:
    mixture = MixtureConfig.model_validate({"seed": seed, "phases": list(phases)})
    return {"mixture": mixture.output_fields(), "model": {"layers": 2}, "train": {"optimizer": {"name": name}}}


def phase(steps: int, **changes: Any) -> dict[str, Any]:
    return {"tokens": steps * 8 * 64, "row_tokens": 64, "batch_rows": 8, **changes}


@pytest.mark.parametrize(
    ("new", "kept"),
    [
        (output(phase(10), phase(20)), True),
        (output(phase(10), phase(5), phase(7, row_tokens=128)), True),
        (output(phase(10), phase(5), phase(7), seed=2), False),
        (output(phase(10), phase(4), phase(8)), False),
        (output(phase(9), phase(20)), False),
        (output(phase(10), phase(20, weights={"a": 1})), False),
        (output(phase(10), phase(20), name="muon"), False),
        (output(phase(10)), False),
    ],
)
def test_a_fork_may_change_what_comes_after_its_checkpoint(new: dict[str, Any], kept: bool) -> None:
    """The checkpoint is after 15 steps: the first phase, and 5 steps of the second."""
    assert keeps_history(output(phase(10), phase(20)), new, 15 * 8) is kept


def test_export_of_a_checkpoint_is_the_model_that_was_trained(
    context: Any, data: Data, undisturbed_at: Callable[..., Path]
) -> None:
    """Logits of the exported model equal those of its masters, rounded once, in a model built from the config."""
    from transformers import AutoModelForCausalLM

    from eurolm.train.verify import verify_checkpoint

    run_dir = undisturbed_at(3)
    assert verify_checkpoint(run_dir / "checkpoints" / f"step-{STEPS:08d}") > 0
    exported = AutoModelForCausalLM.from_pretrained(run_dir / "model", dtype=torch.float32).eval()
    inputs = data.inputs(run_dir.with_name("unused"))
    tokenizer = load(inputs.tokenizer)
    ours = build_model(inputs.config.model, tokenizer.vocab_size, tokenizer.eod_id).eval()
    weights = load_file(run_dir / "model" / "model.safetensors")
    ours.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, strict=False)
    rows = torch.randint(0, tokenizer.vocab_size, (4, 32), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        difference = (exported(rows).logits - ours(rows).logits).abs().max()
    assert difference <= 1e-6
