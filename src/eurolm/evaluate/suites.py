"""Suites: named lists of tasks with their number of examples, one YAML each in `configs/evaluation/suites`.

Loads neither torch nor numpy: a run asks here whether its evaluation is still the one it did.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from eurolm.artifacts.hashing import sha256_json
from eurolm.config.evaluate import EvaluateConfig
from eurolm.config.fields import Name
from eurolm.config.shipped import shipped
from eurolm.errors import ConfigError
from eurolm.tasks.items import items_sha256
from eurolm.tasks.load import load_task, with_items


class Part(BaseModel):
    """Base: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(Part):
    """How a task is asked."""

    shots: int = Field(default=0, ge=0)
    """Examples before each question."""
    limit: int | None = Field(default=None, ge=1)
    """Items scored, chosen by hash; null for all."""
    templates: Literal["first", "all"] = "all"
    """`first` scores the reported wording only; `all` says how much a score owes to it."""
    items: str | None = None
    """File of items that takes the place of the carried ones; `full` for all public ones, once fetched."""


class Suite(Part):
    """A list of tasks, asked in one way for everybody."""

    name: Name
    about: str
    """What it is for."""
    tasks: dict[str, Choice]
    """By name, or by the YAML file of a task of your own."""


def suite_names() -> list[str]:
    """Names of the suites eurolm carries, sorted."""
    return sorted(path.stem for path in _directory().glob("*.yaml"))


def load_suite(name: str) -> Suite:
    """A suite by its name or by the path of its YAML. Raises ConfigError for an unknown or malformed one."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else _directory() / f"{name}.yaml"
    if not path.is_file():
        near = difflib.get_close_matches(name, suite_names(), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{name!r} is no suite.{hint} There are: {', '.join(suite_names())}, or give a YAML file.")
    try:
        tree = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        return Suite.model_validate(tree)
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise ConfigError("\n".join(lines)) from None
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} is not a YAML mapping in UTF-8: {error}") from None


def chosen(config: EvaluateConfig) -> dict[str, Choice]:
    """The tasks of a config: those of its suite, then those it names itself.

    Raises ConfigError for an unknown suite, and as `adjusted` does.
    """
    found = dict(load_suite(config.suite).tasks) if config.suite else {}
    found |= {name: Choice(shots=config.shots, templates=config.templates) for name in config.tasks}
    return adjusted(found, config.items, config.limit)


def adjusted(tasks: Mapping[str, Choice], items: Mapping[str, str], limit: int | None) -> dict[str, Choice]:
    """The tasks over other files of items, each under a limit besides its own.

    Raises ConfigError for items of a task that is not among them.
    """
    for name in items:
        if name not in tasks:
            raise ConfigError(
                f"items of {name!r}: it is none of the tasks asked, {', '.join(tasks) or 'which are none'}."
            )
    found = {}
    for name, choice in tasks.items():
        least = min((one for one in (limit, choice.limit) if one is not None), default=None)
        found[name] = choice.model_copy(update={"items": items.get(name, choice.items), "limit": least})
    return found


def checkpoint_tasks(config: EvaluateConfig) -> dict[str, Choice]:
    """The tasks that checkpoints kept for good are asked. Raises ConfigError for an unknown suite."""
    return dict(load_suite(config.checkpoint_suite).tasks) if config.checkpoint_suite else {}


def identity(config: EvaluateConfig) -> str:
    """Hash of what the tasks of a config ask, checkpoints included: descriptions, items and choices. Raises ConfigError
    for an unknown suite or task, InputError where items are missing."""
    parts = []
    for name, choice in [*chosen(config).items(), *checkpoint_tasks(config).items()]:
        task = with_items(load_task(name), choice.items)
        described = task.model_dump(mode="json", exclude={"directory", "reviewed_by"})
        parts.append([described, choice.model_dump(), items_sha256(task)])
    return sha256_json(parts)


def _directory() -> Path:
    return shipped("configs") / "evaluation" / "suites"
