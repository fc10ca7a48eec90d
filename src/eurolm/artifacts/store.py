"""Data artifacts: built once per fingerprint, sealed, shared by every run that asks for the same bytes.

An artifact is built in `<fingerprint>.partial-<id>` under a lease, hashed, fsynced and renamed: the final name means
complete. A later attempt adopts the partial directory of a killed one, so that finished units are not done again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import PARTIAL_MARK, fsync_path
from eurolm.artifacts.hashing import sha256_json
from eurolm.artifacts.lease import lease
from eurolm.artifacts.manifest import (
    Manifest,
    describe_files,
    hash_of,
    missing_files,
    read_manifest,
    write_manifest,
)
from eurolm.artifacts.paths import make_writable
from eurolm.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """Everything that determines an artifact's bytes."""

    stage: str
    recipe: int
    """Integer raised when the stage's code changes its bytes."""
    config: dict[str, Any]
    """`output` fields of the section."""
    upstream: dict[str, str]
    """Content hash of each artifact it is made from."""
    libraries: dict[str, str | None]
    """Versions of the libraries that determine bytes."""
    inputs: list[dict[str, Any]]
    """Identity of files from outside: path, size, mtime."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits: 64 bits, ample for the artifacts of one store."""
        return sha256_json(
            {
                "stage": self.stage,
                "recipe": self.recipe,
                "config": self.config,
                "upstream": self.upstream,
                "libraries": self.libraries,
                "inputs": self.inputs,
            }
        )[:16]


def input_identity(path: Path) -> dict[str, Any]:
    """What identifies a file from outside without reading it."""
    stat = path.stat()
    return {"path": str(path), "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def finished(place: Path) -> Manifest | None:
    """The manifest of a complete artifact; null where there is none. Raises InputError where files are gone."""
    if not place.is_dir():
        return None
    manifest = read_manifest(place)
    wrong = missing_files(place, manifest)
    if wrong:
        raise InputError(
            f"{place} has lost or changed {len(wrong)} of its {len(manifest.files)} files, first {wrong[0]}. "
            "Delete the directory and run again to rebuild it."
        )
    return manifest


@contextmanager
def building(place: Path, recipe: Recipe, version: str) -> Iterator[Path | None]:
    """The directory in which to build the artifact, sealed as `place` when the block ends well; null when another
    process just finished it."""
    make_writable(place.parent)
    with lease(place.with_name(place.name + ".lease")):
        if finished(place) is not None:
            yield None
            return
        partial = _adopt(place)
        yield partial
        write_manifest(partial, _describe(partial, recipe, version))
        for directory in [path for path in partial.rglob("*") if path.is_dir()]:
            fsync_path(directory)
        fsync_path(partial)
        partial.rename(place)
        fsync_path(place.parent)


def build(place: Path, recipe: Recipe, version: str, make: Callable[[Path], None]) -> Manifest:
    """Build the artifact at `place` with `make(directory)`, or return it when another process just finished it."""
    with building(place, recipe, version) as partial:
        if partial is not None:
            make(partial)
    return read_manifest(place)


def _adopt(place: Path) -> Path:
    """The partial directory of a killed attempt under a new name, without what it was writing, or an empty one."""
    partial = place.with_name(f"{place.name}{PARTIAL_MARK}{uuid.uuid4().hex[:8]}")
    left_behind = sorted(place.parent.glob(f"{place.name}{PARTIAL_MARK}*"))
    if left_behind:
        left_behind[0].rename(partial)
        for path in partial.rglob(f"*{PARTIAL_MARK}*"):
            path.unlink()
    else:
        partial.mkdir()
    return partial


def _describe(directory: Path, recipe: Recipe, version: str) -> Manifest:
    files = describe_files(directory)
    return Manifest(
        stage=recipe.stage,
        fingerprint=recipe.fingerprint,
        content=hash_of(files),
        files=files,
        upstream=recipe.upstream,
        recipe=recipe.recipe,
        config=recipe.config,
        libraries=recipe.libraries,
        inputs=recipe.inputs,
        eurolm_version=version,
    )
