"""Exports of checkpoints on the way: for curves, for forks that others continue, for a look."""

from __future__ import annotations

from pathlib import Path

from eurolm.artifacts.manifest import read_manifest
from eurolm.config.load import load_config
from eurolm.mixture.mixture import Mixture
from eurolm.train.export import export_checkpoint
from eurolm.train.fork import find_checkpoint

EXPORTS = "exports"


def export_step(run_dir: Path, step: int | None, out: Path | None = None) -> Path:
    """The model of a checkpoint (the newest where `step` is None) in Hugging Face format; made once.

    Written to `out`, else to `exports/step-N` of the run. Raises InputError for a step without checkpoint,
    MachineError where the export does not give the receipt's loss.
    """
    checkpoint = find_checkpoint(run_dir, step)
    place = out or run_dir / EXPORTS / checkpoint.name
    fingerprint = read_manifest(checkpoint).fingerprint
    if not (place.is_dir() and read_manifest(place).fingerprint == fingerprint):
        mixture = Mixture.open(
            load_config(run_dir / "config.yaml").config.mixture, run_dir / "tokens", run_dir / "packs"
        )
        export_checkpoint(checkpoint, run_dir / "tokenizer", place, fingerprint, mixture.rows([0]))
    return place
