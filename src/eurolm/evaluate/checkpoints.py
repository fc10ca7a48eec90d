"""Every checkpoint kept for good, scored on a suite: the curves of a run. A directory per checkpoint, made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from eurolm.artifacts.atomic import read_json, write_json
from eurolm.artifacts.lease import lease
from eurolm.artifacts.manifest import read_manifest
from eurolm.artifacts.paths import make_writable
from eurolm.config.evaluate import EvaluateConfig
from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.evaluate.request import of_model
from eurolm.evaluate.results import RESULTS
from eurolm.evaluate.stage import evaluate
from eurolm.evaluate.suites import identity
from eurolm.train.store import complete, read_progress

MADE_FROM = "checkpoint.json"


def curve_config(config: EvaluateConfig) -> EvaluateConfig:
    """What a checkpoint is asked: its suite, and nothing that belongs to the finished model."""
    suite = {"suite": config.checkpoint_suite, "checkpoint_suite": None}
    return config.model_copy(update={**suite, "tasks": [], "items": {}, "limit": None, "context_tokens": None})


def evaluate_checkpoints(
    config: Config,
    run_dir: Path,
    corpus: Path | None,
    export: Callable[[Path, int, Path], Path],
    reporter: Reporter,
    step: int | None = None,
) -> list[Path]:
    """Score each permanent checkpoint of a run that is not scored yet into `evaluation/step-*`; returns all of these.

    With `step` only that one, kept for good or not. `export(run_dir, step, out)` writes the model of a checkpoint in
    Hugging Face format; the copy is removed when it has been scored. Raises what `evaluate` raises, BusyError where
    another process is at the same checkpoint.
    """
    if config.evaluate.checkpoint_suite is None:
        return []
    settings = curve_config(config.evaluate)
    asked = identity(settings)
    found = []
    for checkpoint in complete(run_dir / "checkpoints"):
        progress = read_progress(checkpoint)
        if not progress.permanent if step is None else progress.step != step:
            continue
        place = run_dir / "evaluation" / checkpoint.name
        made_from = {"content": read_manifest(checkpoint).content, "asked": asked, "samples": progress.state.samples}
        found.append(place)
        if (place / RESULTS).is_file() and _made_from(place) == made_from:
            continue
        reporter.say(f"  checkpoint {checkpoint.name}")
        make_writable(place)
        with lease(place / "evaluate.lease"):
            model = place / "model"
            shutil.rmtree(model, ignore_errors=True)
            export(run_dir, progress.step, model)
            evaluate(of_model(model, place, settings, corpus, progress.step), reporter)
            write_json(place / MADE_FROM, made_from)
            shutil.rmtree(model)
    return found


def _made_from(place: Path) -> object:
    try:
        return read_json(place / MADE_FROM)
    except (OSError, ValueError):
        return None
