"""The manifest of a sealed directory: what is in it, hash by hash, and what it was made from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eurolm.artifacts.atomic import PARTIAL_MARK, read_json, write_json
from eurolm.artifacts.hashing import content_hash, sha256_file
from eurolm.errors import InputError

SCHEMA = 1
"""Version of manifests and run directories. A newer one is refused, never guessed at."""
MANIFEST = "manifest.json"
HASHING_THREADS = 8


@dataclass(frozen=True)
class Manifest:
    """`content` depends on file names and bytes alone; the rest says how they came to be."""

    stage: str
    fingerprint: str
    content: str
    files: dict[str, dict[str, Any]]
    upstream: dict[str, str] = field(default_factory=dict)
    recipe: int = 1
    config: dict[str, Any] = field(default_factory=dict)
    libraries: dict[str, str | None] = field(default_factory=dict)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    eurolm_version: str = ""
    schema: int = SCHEMA


def describe_files(directory: Path, patterns: tuple[str, ...] = ("*",)) -> dict[str, dict[str, Any]]:
    """`{relative path: {sha256, bytes}}` of the files below `directory` whose names match, in path order, the manifest
    left out."""
    paths = sorted({path for pattern in patterns for path in directory.rglob(pattern) if path.is_file()})
    return {
        str(path.relative_to(directory)): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in paths
        if path.name != MANIFEST and PARTIAL_MARK not in path.name
    }


def hash_of(files: dict[str, dict[str, Any]]) -> str:
    """Content hash of described files."""
    return content_hash({name: entry["sha256"] for name, entry in files.items()})


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into `directory`, atomically."""
    write_json(directory / MANIFEST, asdict(manifest))


def read_manifest(directory: Path) -> Manifest:
    """Read and check `manifest.json`. Raises InputError where it is missing, newer or not a manifest."""
    path = directory / MANIFEST
    try:
        value = read_json(path)
        check_schema(value.get("schema"), path)
        return Manifest(**value)
    except FileNotFoundError:
        raise InputError(f"{directory} has no {MANIFEST}: it is not a finished eurolm artifact.") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a manifest of eurolm: {error}. Delete {directory} and run again.") from None


def check_schema(found: Any, path: Path) -> None:
    """Refuse what a newer eurolm wrote."""
    if not isinstance(found, int) or found > SCHEMA:
        raise InputError(
            f"{path} has schema {found!r}; this eurolm reads up to {SCHEMA}. "
            "Use the eurolm that wrote it, or a newer one."
        )


def missing_files(directory: Path, manifest: Manifest) -> list[str]:
    """Files that are gone or have another size: the cheap check, made every time an artifact is reused."""
    wrong = []
    for name, entry in manifest.files.items():
        path = directory / name
        if not path.is_file() or path.stat().st_size != entry["bytes"]:
            wrong.append(name)
    return wrong


def damaged_files(directory: Path, manifest: Manifest) -> list[str]:
    """Files whose sha256 differs: the full check, several files at once (a checkpoint has hundreds of gigabytes)."""
    gone = missing_files(directory, manifest)
    rest = [name for name in manifest.files if name not in gone]
    with ThreadPoolExecutor(max_workers=HASHING_THREADS) as pool:
        found = list(pool.map(lambda name: sha256_file(directory / name), rest))
    return gone + [name for name, sha256 in zip(rest, found, strict=True) if sha256 != manifest.files[name]["sha256"]]
