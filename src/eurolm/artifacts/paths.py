"""Where everything of a run lives: `runs/<name>/` for what grows, `store/` for data artifacts shared between runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from eurolm.errors import InputError, MachineError


@dataclass(frozen=True)
class Workspace:
    """A directory that holds `runs/` and `store/`."""

    root: Path

    def run(self, name: str) -> Path:
        """Directory of one run."""
        return self.root / "runs" / name

    def artifacts(self, stage: str) -> Path:
        """Directory of a stage's sealed data artifacts."""
        return self.root / "store" / stage

    def artifact(self, stage: str, fingerprint: str) -> Path:
        """Final place of one of them; it exists only when complete."""
        return self.artifacts(stage) / fingerprint


def link(run_dir: Path, name: str, target: Path) -> None:
    """Point `runs/<name>/<stage>` at an artifact; relative, so that a workspace can be moved whole."""
    place = run_dir / name
    pointer = os.path.relpath(target.resolve(), run_dir.resolve())
    if place.is_symlink() and str(place.readlink()) == pointer:
        return
    if place.exists() and not place.is_symlink():
        raise InputError(f"{place} is in the way: it should be a link to {target}. Move it and run again.")
    partial = run_dir / f".{name}.link-{os.getpid()}"
    partial.unlink(missing_ok=True)
    partial.symlink_to(pointer)
    partial.replace(place)


def make_writable(directory: Path) -> None:
    """Create `directory`. Raises MachineError where it cannot be written."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"{directory} cannot be created ({error.strerror}). "
            "Choose a writable place with run.workspace=DIR, or free the disk."
        ) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise MachineError(f"{directory} is not writable. Choose another place with run.workspace=DIR.")
