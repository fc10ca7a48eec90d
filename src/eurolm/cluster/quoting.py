"""Values in job scripts. Nothing a user or a profile supplies is ever raw text in a script.

Every `{{ expression }}` of a template is quoted for the shell unless it went through one of the other filters: the
template engine does it, so it cannot be forgotten. `#SBATCH` lines are read by Slurm, not by the shell, and have no
dependable quoting: there a value is one of the plain words that Slurm itself allows, or refused.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from eurolm.config.shipped import shipped
from eurolm.errors import ConfigError

PLAIN = re.compile(r"[A-Za-z0-9_@%.,:+=\[\]/-]+", re.ASCII)
PLACEHOLDERS = {"{job_id}": '"$SLURM_JOB_ID"', "{node_dir}": '"$EUROLM_NODE_DIR"', "{cache_dir}": '"$EUROLM_CACHE_DIR"'}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Ready(str):
    """Text that may stand in a script as it is."""

    __slots__ = ()


def shell(value: Any) -> str:
    """One word of the shell. Raises ConfigError for what no command line can carry."""
    if isinstance(value, Ready):
        return value
    text = str(value)
    if "\0" in text:
        raise ConfigError(f"{text!r} holds a NUL byte, which no command can be given.")
    return Ready(shlex.quote(text))


def words(values: list[Any]) -> str:
    """Words of a command line or of an array."""
    return Ready(" ".join(shell(value) for value in values))


def directive(value: Any) -> str:
    """A value on an `#SBATCH` line. Raises ConfigError unless it is plain."""
    text = str(value)
    if PLAIN.fullmatch(text) is None:
        raise ConfigError(
            f"{text!r} cannot stand on an #SBATCH line: letters, digits and _@%.,:+=[]/- only, because Slurm has no "
            "quoting there that all its versions share."
        )
    return Ready(text)


def comment(value: Any) -> str:
    """Text of a comment: one line, printable."""
    text = "".join(sign if sign.isprintable() else " " for sign in str(value))
    return Ready(" ".join(text.split()))


def variable(value: Any) -> str:
    """Name of an environment variable. Raises ConfigError for anything else."""
    text = str(value)
    if NAME.fullmatch(text) is None:
        raise ConfigError(f"{text!r} is not a name for an environment variable: letters, digits and _ only.")
    return Ready(text)


def filled(value: Any) -> str:
    """A value of a profile's environment table: quoted, its placeholders turned into the script's own variables."""
    parts = re.split(r"(\{job_id\}|\{node_dir\}|\{cache_dir\})", str(value))
    return Ready("".join(PLACEHOLDERS.get(part) or shell(part) for part in parts if part) or "''")


def templates(folder: Path | None = None) -> Environment:
    """The template engine of job scripts, on `slurm/`."""
    engine = Environment(
        loader=FileSystemLoader(folder or shipped("slurm")),
        finalize=shell,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - a shell is not HTML: `finalize` quotes every expression
    )
    engine.filters.update(words=words, directive=directive, comment=comment, variable=variable, filled=filled)
    return engine
