"""A whole small training on real text: it learns, it is exact, it leaves what it promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.train.conftest import ROW_TOKENS, ROWS, STEPS, Data, losses, validations
from tests.train.driver import start_attempt
from transformers import AutoModelForCausalLM, AutoTokenizer

from eurolm.artifacts.manifest import damaged_files, read_manifest
from eurolm.train.metrics import read_lines


def test_training_learns_and_leaves_what_it_promises(undisturbed: Path) -> None:
    steps = list(read_lines(undisturbed / "metrics.jsonl", "step"))
    assert [line["step"] for line in steps] == list(range(1, STEPS + 1))
    assert [line["samples"] for line in steps] == [ROWS * step for step in range(1, STEPS + 1)]
    assert all(line["tokens"] == ROWS * ROW_TOKENS and line["valid_targets"] <= line["tokens"] for line in steps)
    assert sum(line["loss"] for line in steps[-5:]) / 5 < steps[0]["loss"] - 0.5
    assert [step for step, _ in validations(undisturbed)] == [0, 10, 20, 30, STEPS]
    first, last = validations(undisturbed)[0][1], validations(undisturbed)[-1][1]
    assert set(first) == {"lv", "et"}
    assert all(last[language] < first[language] for language in first)
    assert [path.name for path in (undisturbed / "checkpoints").iterdir()] == [f"step-{STEPS:08d}"]
    assert json.loads((undisturbed / "verdict-local-0.json").read_text())["code"] == 0


def test_the_exported_model_loads_and_is_sealed(undisturbed: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(undisturbed / "model")
    tokenizer = AutoTokenizer.from_pretrained(undisturbed / "model")
    assert str(model.dtype) == "torch.bfloat16"
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert tokenizer("Rīga")["input_ids"]
    assert damaged_files(undisturbed / "model", read_manifest(undisturbed / "model")) == []
    assert json.loads((undisturbed / "model" / "training.json").read_text())["samples"] == STEPS * ROWS


def test_saving_validating_and_sampling_change_no_number(
    context: Any, data: Data, run_dir: Path, undisturbed: Path
) -> None:
    inputs = data.inputs(
        run_dir,
        save_every_minutes=1e-6,
        validate_every_steps=3,
        prompts=["Rīgā", "Tallinnas"],
        prompt_tokens=4,
        keep_checkpoints=3,
    )
    assert start_attempt(context, inputs).wait()["exit_code"] == 0
    assert losses(run_dir) == losses(undisturbed)
    saved = [line["step"] for line in read_lines(run_dir / "metrics.jsonl", "checkpoint")]
    assert len(saved) >= 4 and saved == sorted(set(saved))
    kept = sorted(path.name for path in (run_dir / "checkpoints").iterdir())
    assert kept == [f"step-{step:08d}" for step in saved[-3:]]
    samples = list(read_lines(run_dir / "samples.jsonl"))
    assert [(line["step"], line["share"]) for line in samples] == [
        (0, 0.0), (0, 0.0), (STEPS // 3, 0.333), (STEPS // 3, 0.333), (STEPS, 1.0), (STEPS, 1.0)
    ]  # fmt: skip


def test_a_finished_training_is_not_run_again(context: Any, data: Data, undisturbed: Path) -> None:
    before = sorted(path.stat().st_mtime_ns for path in undisturbed.rglob("*"))
    said = start_attempt(context, data.inputs(undisturbed)).wait()
    assert said == {"error": None, "message": "", "exit_code": 0, "worked": False}
    assert sorted(path.stat().st_mtime_ns for path in undisturbed.rglob("*")) == before
