"""The wheels of a bundle: eurolm itself and what its extras need, at the versions that run here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

from eurolm.errors import InputError, MachineError

LEFT_OUT = frozenset({"torch", "deepspeed", "triton", "pytorch-triton-rocm", "flash-attn"})
"""Brought by the machine's container or modules, with what only they need. Their wheels from PyPI carry their own
RCCL or CUDA and would shadow the site's."""
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
LIMIT_S = 1800


@dataclass(frozen=True)
class Wheels:
    """What to fetch: extras of eurolm for a Python version (`3.12`)."""

    extras: tuple[str, ...]
    python: str
    left_out: list[str] = field(default_factory=lambda: sorted(LEFT_OUT))

    def fetch(self, place: Path) -> list[str]:
        """Fill `place`; names of the wheels. Raises MachineError with pip's own words, InputError without a source."""
        place.mkdir()
        wanted = place / "requirements.txt"
        pinned = closure("eurolm", self.extras)
        wanted.write_text("".join(f"{name}=={version}\n" for name, version in pinned.items()))
        self._download(pinned, place)
        _pip("wheel", "--no-deps", "--wheel-dir", str(place), str(source_of("eurolm")))
        return sorted(path.name for path in place.glob("*.whl"))

    def _download(self, pinned: dict[str, str], place: Path) -> None:
        """Binary wheels in one call; what has none is built here, and must then fit any Python."""
        options = ["--no-deps", "--only-binary=:all:", "--dest", str(place)]
        if self.python != running_python():
            digits = self.python.replace(".", "")
            options += ["--implementation", "cp", "--python-version", self.python]
            options += [word for abi in (f"cp{digits}", "abi3", "none") for word in ("--abi", abi)]
            options += [word for platform in PLATFORMS for word in ("--platform", platform)]
        specifiers = [f"{name}=={version}" for name, version in pinned.items()]
        if _tried("download", *options, *specifiers):
            return
        for specifier in specifiers:
            if not _tried("download", *options, specifier):
                self._build(specifier, place)

    def _build(self, specifier: str, place: Path) -> None:
        before = set(place.glob("*.whl"))
        _pip("wheel", "--no-deps", "--wheel-dir", str(place), specifier)
        for wheel in set(place.glob("*.whl")) - before:
            if self.python != running_python() and not wheel.name.endswith("-none-any.whl"):
                raise InputError(
                    f"{specifier} has no wheel for Python {self.python}, and the one built here is for "
                    f"{running_python()}. Run bundle with Python {self.python}, or take another version of it."
                )


def running_python() -> str:
    """`3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def closure(name: str, extras: tuple[str, ...]) -> dict[str, str]:
    """Installed distributions that `name` with `extras` needs, all the way down, with their versions, `name` and
    LEFT_OUT not among them. Raises InputError for one that is not installed."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    todo = [(name, ("", *extras))]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while todo:
        current, wanted = todo.pop()
        if (current, wanted) in seen:
            continue
        seen.add((current, wanted))
        try:
            distribution = metadata.distribution(current)
        except metadata.PackageNotFoundError:
            raise InputError(
                f"{current} is not installed here, and {name} needs it: pip install 'eurolm[all]'."
            ) from None
        if current != name:
            found[current] = distribution.version
        for line in distribution.requires or []:
            requirement = Requirement(line)
            child = canonicalize_name(requirement.name)
            marker = requirement.marker
            needed = marker is None or any(marker.evaluate({"extra": extra}) for extra in wanted)
            if needed and child not in LEFT_OUT:
                todo.append((child, ("", *sorted(requirement.extras)) if child != name else ("", *requirement.extras)))
    return dict(sorted(found.items()))


def source_of(name: str) -> Path:
    """The checkout that an editable or local installation came from. Raises InputError where there is none."""
    text = metadata.distribution(name).read_text("direct_url.json")
    place = Path(unquote(urlparse(json.loads(text)["url"]).path)) if text else None
    if place is None or not (place / "pyproject.toml").is_file():
        raise InputError(f"the source of {name} is not on this machine: install it from a checkout (pip install -e .).")
    return place


def _tried(*arguments: str) -> bool:
    return _call(*arguments).returncode == 0


def _pip(*arguments: str) -> None:
    answer = _call(*arguments)
    if answer.returncode != 0:
        words = [line for line in answer.stderr.splitlines() if re.search("ERROR|error", line)]
        raise MachineError(f"pip {arguments[0]} failed: {'; '.join(words[-3:]) or answer.stderr[-400:]}")


def _call(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
