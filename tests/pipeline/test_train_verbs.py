"""`eurolm verify`, `fork` and `export` on a finished run, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Workspace
from transformers import AutoModelForCausalLM

PHASE = "{tokens: 20_480, row_tokens: 64, batch_rows: 8, max_epochs: 8}"
ANNEAL = "{tokens: 40_960, row_tokens: 512, batch_rows: 8, max_epochs: 8, rope_theta: 40_000, weights: {lv_text: 1}}"


def test_verify_says_whole_and_then_names_what_is_damaged(copy_of_finished: Workspace) -> None:
    assert "small: whole" in copy_of_finished.run("verify", "small")
    (checkpoint, *_) = sorted((copy_of_finished.path / "runs" / "small" / "checkpoints").glob("step-*"))
    victim = checkpoint / "tensors" / "rank-00001.safetensors"
    content = bytearray(victim.read_bytes())
    content[-100] ^= 1
    victim.write_bytes(content)
    said = copy_of_finished.run("verify", "small", expect=2)
    assert "tensors/rank-00001.safetensors" in said
    assert f"small is not whole: see {checkpoint.name} above." in said and "small: whole" not in said


def test_verify_finds_tensors_that_are_not_those_of_the_receipt(copy_of_finished: Workspace) -> None:
    """Somebody edits a tensor and the manifest with it: the hashes agree, the receipt does not."""
    from eurolm.artifacts.hashing import sha256_file

    (checkpoint, *_) = sorted((copy_of_finished.path / "runs" / "small" / "checkpoints").glob("step-*"))
    victim = checkpoint / "tensors" / "rank-00000.safetensors"
    content = bytearray(victim.read_bytes())
    content[-100] ^= 1
    victim.write_bytes(content)
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["files"]["tensors/rank-00000.safetensors"]["sha256"] = sha256_file(victim)
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    assert "do not add up to the receipt" in copy_of_finished.run("verify", "small", expect=11)


def test_export_writes_a_model_once(copy_of_finished: Workspace) -> None:
    place = Path(copy_of_finished.run("export", "small").strip().splitlines()[-1])
    model = AutoModelForCausalLM.from_pretrained(copy_of_finished.path / place)
    assert str(model.dtype) == "torch.bfloat16"
    before = (copy_of_finished.path / place / "model.safetensors").stat().st_mtime_ns
    copy_of_finished.run("export", "small")
    assert (copy_of_finished.path / place / "model.safetensors").stat().st_mtime_ns == before
    said = copy_of_finished.run("export", "small", "--step", "7", expect=2)
    assert "no checkpoint of step 7. There are: " in said


def test_a_fork_anneals_and_leaves_its_origin_as_it_was(copy_of_finished: Workspace) -> None:
    origin = copy_of_finished.path / "runs" / "small"
    before = {path: path.stat().st_mtime_ns for path in origin.rglob("*") if path.is_file()}
    # Longer rows than the origin was declared for: the fork declares more.
    longer = (f"mixture.phases=[{PHASE}, {ANNEAL}]", "model.max_position_tokens=512")
    said = copy_of_finished.run("fork", "small@latest", "annealed", *longer)
    command = said.strip().splitlines()[-1]
    assert command.startswith("eurolm run ")
    copy_of_finished.run("run", command.split()[-1], "--until", "train")
    assert {path: path.stat().st_mtime_ns for path in origin.rglob("*") if path.is_file()} == before
    ours, theirs = copy_of_finished.losses("annealed"), copy_of_finished.losses("small")
    assert ours[: len(theirs)] == theirs
    assert len(ours) == len(theirs) + 10
    config = json.loads((copy_of_finished.path / "runs/annealed/model/config.json").read_text())
    assert config["rope_parameters"]["rope_theta"] == 40_000
    assert config["max_position_embeddings"] == 512
    said = copy_of_finished.run("fork", "small@latest", "annealed", expect=2)
    assert "exists" in said
    # What lies before the checkpoint is not the fork's to change.
    said = copy_of_finished.run("fork", "small@latest", "other", "model.layers=3", expect=2)
    assert "a fork of small at step 40 cannot change model.layers" in said
    assert not (origin.parent / "other").exists()
    copy_of_finished.run("fork", "small@latest", "other")
    config_file = "runs/other/config.yaml"
    said = copy_of_finished.run("run", config_file, "mixture.seed=9", "--until", "train", expect=2)
    assert "has started with another mixture.seed" in said
