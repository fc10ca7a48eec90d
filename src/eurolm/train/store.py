"""Checkpoints on disk: which one to resume from, how one becomes complete, which ones are kept. No torch.

`checkpoints/step-00000120/` is complete or absent. While its parts arrive it is called `step-00000120.partial-<id>`;
the manifest and the rename by rank 0 make it complete.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eurolm import __version__
from eurolm.artifacts.atomic import PARTIAL_MARK, fsync_path, read_json, write_json
from eurolm.artifacts.hashing import sha256_file
from eurolm.artifacts.manifest import Manifest, damaged_files, hash_of, read_manifest, write_manifest
from eurolm.errors import ConfigError, InputError
from eurolm.train.receipt import Receipt
from eurolm.train.state import TrainState

TENSORS = "tensors"
"""Directory inside a checkpoint that holds masters and optimizer states, a file per rank."""
MODEL = "model"
"""Directory that holds the model's config.json, so that a checkpoint can be exported without training code."""
STATE = "state.json"
RECEIPT = "receipt.json"
FORMAT = 2
"""Of a checkpoint; raised when an older one cannot be read any more."""
PART = "part-{node}.json"


@dataclass(frozen=True)
class Progress:
    """`state.json` of a checkpoint: where training was, and on what."""

    step: int
    state: TrainState
    world_size: int
    threads: int
    versions: dict[str, str | None]
    permanent: bool = False
    """Kept for good."""
    kernels: dict[str, str] = field(default_factory=dict)
    """What computed the probe loss: `device` and `attention`."""
    format: int = FORMAT


@dataclass(frozen=True)
class Checkpoint:
    """A complete, verified checkpoint."""

    path: Path
    progress: Progress


def step_name(step: int) -> str:
    """Directory name of the checkpoint after `step` steps."""
    return f"step-{step:08d}"


def complete(checkpoints: Path) -> list[Path]:
    """Checkpoints that carry their final name, oldest first."""
    if not checkpoints.is_dir():
        return []
    return sorted(path for path in checkpoints.iterdir() if re.fullmatch(r"step-\d{8,}", path.name))


def newest_verified(checkpoints: Path, fingerprint: str, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint whose files match its manifest; None where there is none.

    Damaged ones are passed over and named through `warn`. Raises ConfigError for a checkpoint of another training,
    which is never overwritten.
    """
    for path in reversed(complete(checkpoints)):
        try:
            manifest = read_manifest(path)
            damaged = damaged_files(path, manifest)
            if damaged:
                raise InputError(f"{len(damaged)} files differ from the manifest, first {damaged[0]}.")
            progress = read_progress(path)
        except (InputError, OSError, ValueError, TypeError, KeyError) as error:
            warn(f"checkpoint {path} is passed over: {error}")
            continue
        _check_owner(path, manifest, progress, fingerprint)
        return Checkpoint(path, progress)
    return None


def _check_owner(path: Path, manifest: Manifest, progress: Progress, fingerprint: str) -> None:
    if manifest.fingerprint != fingerprint:
        raise ConfigError(
            f"{path} belongs to training {manifest.fingerprint}, this config makes {fingerprint}: a field that changes "
            "numbers, the data or the tokenizer is another one. A started training is not overwritten; give the run "
            "another name, or set the config back."
        )
    if progress.format != FORMAT:
        raise ConfigError(
            f"{path} has format {progress.format}, this eurolm reads {FORMAT}. Go on with the eurolm that wrote it, or "
            "give the run another name."
        )


def read_progress(path: Path) -> Progress:
    """`state.json` of a checkpoint."""
    value = read_json(path / STATE)
    return Progress(**{"format": 1, **value, "state": TrainState(**value["state"])})


def read_receipt(path: Path) -> Receipt:
    """`receipt.json` of a checkpoint."""
    return Receipt(**read_json(path / RECEIPT))


def begin(partial: Path, progress: Progress) -> None:
    """Create the partial directory of a checkpoint with its `state.json`."""
    (partial / TENSORS).mkdir(parents=True)
    (partial / MODEL).mkdir()
    write_json(partial / STATE, asdict(progress))


def parts_arrived(partial: Path, nodes: int) -> bool:
    """Whether the copier of every node has reported its files."""
    return all((partial / PART.format(node=node)).exists() for node in range(nodes))


def commit(partial: Path, final: Path, nodes: int, fingerprint: str) -> int:
    """Write the manifest and give the checkpoint its final name; returns its bytes."""
    own = [partial / STATE, partial / RECEIPT, *(partial / MODEL).iterdir()]
    files: dict[str, dict[str, Any]] = {
        str(path.relative_to(partial)): {"sha256": sha256_file(path), "bytes": path.stat().st_size} for path in own
    }
    for path in own:
        fsync_path(path)
    for node in range(nodes):
        part = partial / PART.format(node=node)
        files.update(read_json(part))
        part.unlink()
    files = dict(sorted(files.items()))
    write_manifest(
        partial,
        Manifest(
            stage="checkpoint",
            fingerprint=fingerprint,
            content=hash_of(files),
            files=files,
            eurolm_version=__version__,
        ),
    )
    if final.exists():
        remove(final)
    partial.rename(final)
    fsync_path(final.parent)
    return sum(int(entry["bytes"]) for entry in files.values())


def retain(checkpoints: Path, keep: int) -> None:
    """Remove all but the newest `keep` complete checkpoints and the permanent ones."""
    for path in complete(checkpoints)[:-keep]:
        if not read_progress(path).permanent:
            remove(path)


def remove(path: Path) -> None:
    """Remove a complete checkpoint; it loses its name first, so that no half of it is ever taken for whole."""
    doomed = path.with_name(f"{path.name}{PARTIAL_MARK}removed")
    path.rename(doomed)
    shutil.rmtree(doomed)


def remove_leftovers(checkpoints: Path) -> list[str]:
    """Remove partial checkpoints of earlier attempts; returns their names."""
    if not checkpoints.is_dir():
        return []
    stale = sorted(path for path in checkpoints.iterdir() if PARTIAL_MARK in path.name)
    for path in stale:
        shutil.rmtree(path)
    return [path.name for path in stale]
