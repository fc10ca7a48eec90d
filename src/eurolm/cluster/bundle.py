"""A directory that holds everything a run needs on a machine without internet: wheels, code, config, tokenizer, shards,
pack indexes, text for evaluation, a checksum list and an installer.

What it takes from the run are its artifacts as they are, so that the other machine recognises them and makes nothing
again. torch and DeepSpeed stay out: the site's container has builds for its devices, and a wheel would shadow them.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm import __version__
from eurolm.artifacts.atomic import write_json, write_text
from eurolm.artifacts.hashing import sha256_file
from eurolm.cluster.bundle_wheels import Wheels
from eurolm.config.model import Config
from eurolm.config.shipped import shipped
from eurolm.console import Reporter
from eurolm.errors import InputError

SUMS, INSTALL, ABOUT, CONFIG = "SHA256SUMS", "install.sh", "bundle.json", "config.yaml"
TEXT = ("documents", "heldout", "report.json")
"""Of a corpus: what validation, evaluation and the n-gram baseline read. Dropped documents and indexes stay."""


@dataclass(frozen=True)
class Contents:
    """What goes in besides wheels: artifacts of the run by stage, and the pack indexes' directory."""

    artifacts: Mapping[str, Path]
    packed: list[Path]
    """Files of the store's `packed/` directory that belong to these shards."""
    store: Path


def bundled_config(config: Config, cluster: str) -> Config:
    """The config as it stands in the bundle: finished stages are used from beside it, by relative paths."""
    tree: dict[str, Any] = config.model_dump(mode="json", by_alias=True)
    has_text = bool(config.corpus.sources or config.corpus.use)
    tree["corpus"] = {"use": "corpus", "forget": [_forget(path) for path in config.corpus.forget]} if has_text else {}
    tree["tokenizer"] = {"use": "tokenizer"}
    tree["tokens"] = {"use": "tokens"}
    if config.model.use is not None:
        tree["model"]["use"] = "initial-model"
    tree["run"]["workspace"] = "."
    tree["cluster"]["name"] = cluster
    tree["extends"] = []
    return Config.model_validate(tree)


def write_bundle(
    place: Path, config: Config, text_of_config: str, contents: Contents, wheels: Wheels, reporter: Reporter
) -> None:
    """Fill `place`, which must not exist. The checksum list is written last: without it the bundle is not whole.

    Raises InputError where `place` exists.
    """
    if place.exists():
        raise InputError(f"{place} exists. Delete it, or choose another place with --out DIR.")
    place.mkdir(parents=True)
    for stage in ("tokenizer", "tokens"):
        _copy_tree(contents.artifacts[stage], place / stage)
    if "corpus" in contents.artifacts:
        for name in TEXT:
            _copy_tree(contents.artifacts["corpus"] / name, place / "corpus" / name)
    for path in contents.packed:
        _copy(path, place / "store" / path.relative_to(contents.store))
    for path in config.corpus.forget:
        _copy(path, place / _forget(path))
    if config.model.use is not None:
        _copy_tree(config.model.use, place / "initial-model")
    reporter.say("  wheels: " + ", ".join(wheels.fetch(place / "wheels")))
    write_text(place / CONFIG, text_of_config)
    _copy(shipped("slurm") / "install.sh", place / INSTALL)
    (place / INSTALL).chmod(0o755)
    write_json(
        place / ABOUT,
        {"name": config.name, "eurolm": __version__, "python": wheels.python, "left_to_the_machine": wheels.left_out},
    )
    write_sums(place)


def write_sums(place: Path) -> None:
    """`SHA256SUMS` over every file of the bundle, in the form that `sha256sum --check` reads."""
    files = sorted(path for path in place.rglob("*") if path.is_file() and path.name != SUMS)
    write_text(place / SUMS, "".join(f"{sha256_file(path)}  {path.relative_to(place)}\n" for path in files))


def transfer_command(place: Path, host: str | None) -> str:
    """How to copy the bundle; TARGET is the user's directory there. Says so where the profile names no host."""
    command = f"rsync -a --partial --info=progress2 {shlex.quote(str(place))} {host or 'HOST'}:TARGET/"
    return command if host else f"{command} (the profile names no HOST for transfers)"


def size_of(place: Path) -> tuple[int, int]:
    """Bytes and files of a bundle."""
    sizes = [path.stat().st_size for path in place.rglob("*") if path.is_file()]
    return sum(sizes), len(sizes)


def _forget(path: Path) -> str:
    return f"forget/{path.name}"


def _copy_tree(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_copy_file)
    else:
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _copy_file(str(source), str(target))


def _copy_file(source: str, target: str) -> None:
    """A hard link where the file system allows: sealed artifacts are never written again, and shards are large."""
    real = Path(source).resolve()
    try:
        os.link(real, target)
    except OSError:
        shutil.copy2(real, target)
