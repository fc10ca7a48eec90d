"""Checkpoints kept for good are scored once each, others never; a change of the suite scores them again."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from tests.evaluate.conftest import QUIET

from eurolm.artifacts.atomic import write_json
from eurolm.artifacts.manifest import Manifest, describe_files, hash_of, write_manifest
from eurolm.config.model import Config
from eurolm.evaluate.checkpoints import evaluate_checkpoints
from eurolm.evaluate.results import read_results
from eurolm.report.curves_view import read_checkpoints
from eurolm.train.state import TrainState
from eurolm.train.store import Progress, step_name

SUITE = "name: tiny\nabout: One task.\ntasks:\n  scala-lv: {limit: 40}\n"


def save(run_dir: Path, step: int, permanent: bool) -> None:
    """What of a checkpoint its evaluation looks at."""
    place = run_dir / "checkpoints" / step_name(step)
    place.mkdir(parents=True)
    progress = Progress(step, TrainState(samples=step * 2), 1, 1, {}, permanent)
    write_json(place / "state.json", dataclasses.asdict(progress))
    files = describe_files(place)
    write_manifest(place, Manifest("checkpoint", "f" * 16, hash_of(files), files))


def test_permanent_checkpoints_are_scored_once(config: Config, model_dir: Path, tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    suite.write_text(SUITE)
    evaluate = config.evaluate.model_copy(update={"checkpoint_suite": str(suite)})
    asked = config.model_copy(update={"evaluate": evaluate})
    run_dir = tmp_path / "run"
    for step, permanent in ((10, True), (15, False), (20, True)):
        save(run_dir, step, permanent)
    exported: list[int] = []

    def export(run: Path, step: int, out: Path) -> Path:
        exported.append(step)
        shutil.copytree(model_dir, out)
        return out

    found = evaluate_checkpoints(asked, run_dir, None, export, QUIET)
    assert [place.name for place in found] == ["step-00000010", "step-00000020"] and exported == [10, 20]
    assert read_results(found[1])["step"] == 20 and list(read_results(found[1])["tasks"]) == ["scala-lv"]
    assert not (found[1] / "model").exists()
    assert [each.tokens for each in read_checkpoints(run_dir, config.mixture)] == [20 * 64, 40 * 64]
    evaluate_checkpoints(asked, run_dir, None, export, QUIET)
    assert exported == [10, 20]
    evaluate_checkpoints(asked, run_dir, None, export, QUIET, step=15)
    assert exported == [10, 20, 15]
    suite.write_text(SUITE.replace("40", "30"))
    evaluate_checkpoints(asked, run_dir, None, export, QUIET, step=10)
    assert exported[-1] == 10 and read_results(found[0])["tasks"]["scala-lv"]["counts"]["items"] == 30
    none = config.model_copy(update={"evaluate": config.evaluate.model_copy(update={"checkpoint_suite": None})})
    assert evaluate_checkpoints(none, run_dir, None, export, QUIET) == []


def test_a_stopped_evaluation_of_a_checkpoint_begins_again(config: Config, model_dir: Path, tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    suite.write_text(SUITE)
    asked = config.model_copy(update={"evaluate": config.evaluate.model_copy(update={"checkpoint_suite": str(suite)})})
    save(tmp_path / "run", 10, True)

    def failing(run: Path, step: int, out: Path) -> Path:
        shutil.copytree(model_dir, out, ignore=shutil.ignore_patterns("*.safetensors"))
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        evaluate_checkpoints(asked, tmp_path / "run", None, failing, QUIET)
    (place,) = evaluate_checkpoints(
        asked, tmp_path / "run", None, lambda run, step, out: Path(shutil.copytree(model_dir, out)), QUIET
    )
    assert json.loads((place / "checkpoint.json").read_text())["samples"] == 20
