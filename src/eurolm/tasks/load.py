"""Task descriptions: one YAML per task in `configs/evaluation/tasks`, validated; a mistake names file and field."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from eurolm.config.fields import Language, Name
from eurolm.config.shipped import package_file, shipped
from eurolm.errors import ConfigError

PACKAGE = "package:"


class Part(BaseModel):
    """Base of the parts of a task: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(Part):
    """A public source the items were made from, pinned to a commit."""

    source: str
    commit: str
    license: str


class Fields(Part):
    """Which field of an item holds what. `cluster` groups items of one document."""

    id: str = "id"
    good: str = "good"
    bad: str = "bad"
    cluster: str | None = None


class StatedBaselines(Part):
    """Accuracy over all pairs without knowing the language, as the task states it; a test recomputes `shortest`."""

    uniform: float = Field(ge=0, le=1)
    shortest: float = Field(ge=0, le=1)


class Task(Part):
    """One evaluation task."""

    name: Name
    kind: Literal["minimal_pairs"]
    language: Language
    items: str
    """`package:PATH` inside eurolm, or a path relative to the YAML file; `.jsonl` or `.jsonl.zst`."""
    fields: Fields = Fields()
    written: Literal["native", "translated", "generated"]
    made_by: str
    license: str
    origins: tuple[Origin, ...] = Field(min_length=1)
    citations: tuple[str, ...] = Field(min_length=1)
    baselines: StatedBaselines
    reviewed_by: str | None
    """Speaker of the language who read the items; null until one has."""
    directory: Path = Field(exclude=True)
    """Where the YAML file lies."""

    @property
    def items_path(self) -> Path:
        """File of the items."""
        if self.items.startswith(PACKAGE):
            return package_file(self.items.removeprefix(PACKAGE))
        return self.directory / self.items


def task_names() -> list[str]:
    """Names of the tasks eurolm carries, sorted."""
    return sorted(path.stem for path in _directory().glob("*.yaml"))


def load_task(name: str) -> Task:
    """The task called `name`. Raises ConfigError for an unknown name."""
    path = _directory() / f"{name}.yaml"
    if not path.is_file():
        near = difflib.get_close_matches(name, task_names(), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigError(f"evaluate.tasks: {name!r} is not a task.{hint} There are: {', '.join(task_names())}.")
    return read_task(path)


def read_task(path: Path) -> Task:
    """A task from its YAML file. Raises ConfigError naming file, field and rule."""
    try:
        tree = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        task = Task.model_validate({**tree, "directory": path.parent})
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(map(str, detail['loc']))}: {detail['msg']}"
            for detail in error.errors(include_url=False)
        ]
        raise ConfigError("\n".join(lines)) from None
    except (YAMLError, UnicodeDecodeError, TypeError) as error:
        raise ConfigError(f"{path} is not a YAML mapping in UTF-8: {error}") from None
    if task.name != path.stem:
        raise ConfigError(f"{path}: name = {task.name!r} differs from the file's name. Rename one of them.")
    return task


def _directory() -> Path:
    return shipped("configs") / "evaluation" / "tasks"
