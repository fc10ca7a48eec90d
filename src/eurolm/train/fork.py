"""`eurolm fork RUN@STEP NEW`: another training that begins where a checkpoint of this one stands. No torch.

The checkpoint's files are hard-linked, so a fork costs no space; what the run had measured up to there goes along, so
that curves have one beginning. Everything after the step may then be changed: other phases, another schedule.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import PARTIAL_MARK
from eurolm.artifacts.hashing import sha256_json
from eurolm.artifacts.ledger import events, record
from eurolm.artifacts.manifest import MANIFEST, damaged_files, read_manifest, write_manifest
from eurolm.errors import ConfigError, InputError
from eurolm.train import store
from eurolm.train.changes import changed_fields, fixed_fields, keeps_history
from eurolm.train.inputs import CHECKPOINTS
from eurolm.train.metrics import METRICS, SAMPLES, cut_back


def find_checkpoint(run_dir: Path, step: int | None) -> Path:
    """The checkpoint of `step`, or the newest. Raises InputError naming the steps there are."""
    found = store.complete(run_dir / CHECKPOINTS)
    chosen = found[-1:] if step is None else [path for path in found if path.name == store.step_name(step)]
    if not chosen:
        steps = ", ".join(str(int(path.name.partition("-")[2])) for path in found) or "none"
        raise InputError(
            f"{run_dir.name} has no checkpoint of step {step}. There are: {steps}. train.permanent_every_tokens keeps "
            "some for good."
        )
    return chosen[0]


def fork(run_dir: Path, step: int | None, new_dir: Path, output: dict[str, Any]) -> Path:
    """Begin the training `new_dir` (which must not exist) from a checkpoint of `run_dir`; returns that checkpoint.

    `output` are the fields of the new training that change numbers. Raises InputError for a step without checkpoint or
    with a damaged one, ConfigError where `new_dir` exists or where `output` differs in what lies before the checkpoint.
    """
    if new_dir.exists():
        raise ConfigError(f"{new_dir} exists. A fork begins a run of its own: give it another name.")
    started = events(run_dir, "training")
    if not started:
        raise InputError(f"{run_dir} has not started training.")
    source = find_checkpoint(run_dir, step)
    progress = store.read_progress(source)
    old = started[-1]["output"]
    if not keeps_history(old, output, progress.state.samples):
        changed = changed_fields(old, output)
        listed = ", ".join(fixed_fields(changed) or changed)
        raise ConfigError(
            f"a fork of {run_dir.name} at step {progress.step:,} cannot change {listed}: "
            "what lies before that step was trained so. Change what comes after it, or begin a run of its own."
        )
    manifest = read_manifest(source)
    if damaged := damaged_files(source, manifest):
        raise InputError(f"{source}: {len(damaged)} files differ from the manifest, first {damaged[0]}.")
    fingerprint = sha256_json({"forked": manifest.content, "name": new_dir.name})[:16]
    draft = new_dir.with_name(f"{new_dir.name}{PARTIAL_MARK}fork")
    shutil.rmtree(draft, ignore_errors=True)
    place = draft / CHECKPOINTS / source.name
    shutil.copytree(source, place, copy_function=_link, ignore=shutil.ignore_patterns(MANIFEST))
    write_manifest(place, replace(manifest, fingerprint=fingerprint))
    for name in (METRICS, SAMPLES):
        if (run_dir / name).exists():
            shutil.copyfile(run_dir / name, draft / name)
    cut_back(draft, progress.step)
    begun: dict[str, Any] = {key: started[-1][key] for key in ("output", "upstream")}
    origin = {"run": run_dir.name, "step": progress.step, "checkpoint": manifest.content}
    samples = progress.state.samples
    record(draft, "training", fingerprint=fingerprint, forked_from=origin, forked_samples=samples, **begun)
    draft.rename(new_dir)
    return new_dir / CHECKPOINTS / source.name


def _link(source: str, target: str) -> None:
    """A hard link where the file system allows, else a copy: files of a checkpoint are never written again."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
