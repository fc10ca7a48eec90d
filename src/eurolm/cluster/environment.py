"""The sections of a machine profile that say how software runs there: container, modules, environment, traps."""

from __future__ import annotations

from typing import Literal

from eurolm.cluster.facts import Fact, Facts


class Variable(Fact):
    """An environment variable of a job. `reason` and `source` are mandatory: nothing is set because others do."""

    value: str | None
    """Value, or null when the variable must not be set. May hold `{job_id}`, `{node_dir}` (node-local directory of
    the job) and `{cache_dir}` (shared directory off $HOME), which the job script fills in; no shell syntax."""
    reason: str
    """What it does, or what happens without it."""
    source: str
    """Where this is documented."""


class Trap(Fact):
    """A library version known to fail here; preflight looks for it."""

    library: Literal["deepspeed", "torch", "rocm", "libfabric", "container"]
    """What to look at."""
    version: str
    """The version, or the start of it, or a part of the image's name."""
    symptom: str
    """What happens."""
    remedy: str
    """What to do."""
    source: str
    """Who found it."""


class Container(Facts):
    """The site's container for training, and what must be loaded to start it."""

    command: list[str]
    """Start of the command line, before the image."""
    image: str | None
    """Path of the image."""
    modules: list[str]
    """`module` commands, in order, without the word `module`."""
    python: str | None
    """Python inside the image."""
    packages: dict[str, str]
    """Versions in the image, as published."""
    venv_mount: str | None
    """Where a squashfs of extra packages is bound."""
    has_slurm_tools: bool
    """Whether `scontrol` and the like can be run inside."""
    locales: list[str]
    """UTF-8 locales that are known to exist inside."""
    forbidden_paths: list[str]
    """Old paths that must not be in PATH or in `cluster.container`: the bindings refuse to run with them."""


class Software(Facts):
    """What is there without a container."""

    modules: list[str]
    """`module` commands, in order, without the word `module`."""
    accelerator: Literal["rocm", "cuda", "cpu"]
    """Backend of torch."""
