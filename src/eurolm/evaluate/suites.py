"""Suites: named lists of tasks with their number of examples, one YAML each in `configs/evaluation/suites`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from eurolm.config.evaluate import EvaluateConfig
from eurolm.config.fields import Name
from eurolm.config.shipped import shipped
from eurolm.errors import ConfigError
from eurolm.evaluate.task_score import Asked
from eurolm.tasks.examples import limited
from eurolm.tasks.items import items
from eurolm.tasks.load import load_task
from eurolm.tasks.prompts import prompts


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


class Suite(Part):
    """A list of tasks, asked in one way for everybody."""

    name: Name
    about: str
    """What it is for."""
    tasks: dict[Name, Choice]


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
    """The tasks of a config: those of its suite, then those it names itself. `limit` holds for all of them."""
    found = dict(load_suite(config.suite).tasks) if config.suite else {}
    found |= {name: Choice(shots=config.shots, templates=config.templates) for name in config.tasks}
    if config.limit is None:
        return found
    return {
        name: choice.model_copy(update={"limit": min(config.limit, choice.limit or config.limit)})
        for name, choice in found.items()
    }


def asked(choices: dict[str, Choice], seed: int) -> list[Asked]:
    """Items and prompts of all tasks. Raises ConfigError or InputError for an unknown task or damaged items."""
    return [_asked(name, choice, seed) for name, choice in choices.items()]


def only(given: Sequence[str], choices: dict[str, Choice]) -> dict[str, Choice]:
    """The tasks of a suite that are named; all where none is. Raises ConfigError for one that is not among them."""
    missing = [name for name in given if name not in choices]
    if missing:
        raise ConfigError(f"--task {missing[0]}: the suite has {', '.join(choices)}.")
    return {name: choices[name] for name in choices if not given or name in given}


def _asked(name: str, choice: Choice, seed: int) -> Asked:
    task = load_task(name)
    pool = items(task)
    found = limited(pool, choice.limit)
    names = list(task.templates)[: 1 if choice.templates == "first" else None] or [""]
    return Asked(task, found, choice.shots, {one: prompts(task, found, one, choice.shots, seed, pool) for one in names})


def _directory() -> Path:
    return shipped("configs") / "evaluation" / "suites"
