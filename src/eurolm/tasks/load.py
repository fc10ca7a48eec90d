"""Task descriptions: one YAML per task in `configs/evaluation/tasks`, validated; a mistake names file and field.

Tasks in the subdirectory `hub` travel without items: these are fetched from their source.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from eurolm.artifacts.hashing import content_hash
from eurolm.config.fields import Language, Name
from eurolm.config.shipped import package_file, shipped
from eurolm.errors import ConfigError
from eurolm.tasks.description import (
    BY_KIND,
    METRICS,
    NEEDED,
    WITHOUT_PROMPT,
    WRITTEN_BY_MODEL,
    Fields,
    Kind,
    Metric,
    Origin,
    Part,
    Source,
    StatedBaselines,
    Template,
)

PACKAGE = "package:"
FETCHED = "EUROLM_ITEMS"
"""Environment variable: directory of items fetched from their public source."""
FULL = "full"
"""Stands for the full public items where a file of items may be named."""


class Task(Part):
    """One evaluation task."""

    name: Name
    kind: Kind
    language: Language
    """Language of the answers; of the questions too, except in translation from it."""
    items: str | None
    """`package:PATH` inside eurolm, or a path relative to the YAML file; `.jsonl` or `.jsonl.zst`. Null: fetched."""
    where: dict[str, str | bool | int] = Field(default_factory=dict)
    """Only records whose fields have these values are items."""
    fields: Fields = Fields()
    metric: Metric
    labels: dict[str, str] = Field(default_factory=dict)
    """Classification and sequence labelling: the word a model reads or writes for each label of the data."""
    words: dict[str, str] = Field(default_factory=dict)
    """What the filter `named` of the templates makes of codes in the data, such as tags of word forms."""
    templates: dict[Name, Template] = Field(default_factory=dict)
    """By name; the first is the one reported, the others show how much a score owes to the wording."""
    no_entities: str | None = None
    """Sequence labelling: the answer where there is nothing to find."""
    stop: tuple[str, ...] = ("\n",)
    max_new_tokens: int = Field(default=0, ge=0)
    written: Literal["native", "translated", "generated"]
    made_by: str
    license: str
    origins: tuple[Origin, ...] = Field(min_length=1)
    source: Source
    citations: tuple[str, ...] = Field(min_length=1)
    baselines: StatedBaselines
    context_bytes: int | None = Field(gt=0)
    """UTF-8 bytes of the longest prompt with its answer, without examples: what a context must hold."""
    reviewed_by: str | None
    """Speaker of the language who read items and prompts; null until one has."""
    directory: Path = Field(exclude=True)
    """Where the YAML file lies."""

    @property
    def items_path(self) -> Path:
        """File of the items; where none are carried, that of the fetched ones, whether it is there or not."""
        if self.items is None:
            return self.fetched_path
        if self.items.startswith(PACKAGE):
            return package_file(self.items.removeprefix(PACKAGE))
        return self.directory / self.items

    @property
    def fetched_path(self) -> Path:
        """File of the items from the public source; another revision of the source is another file."""
        place = Path(os.environ.get(FETCHED) or Path.home() / ".cache" / "eurolm" / "items")
        return place / f"{self.name}-{content_hash(self.source.model_dump())[:12]}.jsonl"

    @property
    def default_template(self) -> str:
        """Name of the template that is reported; "" for kinds without prompts."""
        return next(iter(self.templates), "")

    @model_validator(mode="after")
    def _parts_fit_the_kind(self) -> Task:
        given = {name for name in BY_KIND if getattr(self.fields, name) is not None}
        if not any(given == set(names) for names in NEEDED[self.kind]):
            needed = " or ".join(", ".join(names) for names in NEEDED[self.kind])
            raise ValueError(f"fields of {self.kind} are {needed}, not {', '.join(sorted(given)) or 'none'}")
        if self.metric not in METRICS[self.kind]:
            raise ValueError(f"metric of {self.kind} is {' or '.join(METRICS[self.kind])}, not {self.metric}")
        if (self.kind in WITHOUT_PROMPT) == bool(self.templates):
            raise ValueError(f"{self.kind} has {'no templates' if self.templates else 'at least one template'}")
        if (self.kind in WRITTEN_BY_MODEL) != (self.max_new_tokens > 0):
            raise ValueError("max_new_tokens is for answers that the model writes, and needed there")
        if (self.kind in ("classification", "sequence_labelling")) != bool(self.labels):
            raise ValueError("labels are for classification and sequence_labelling, and needed there")
        if (self.kind == "sequence_labelling") != (self.no_entities is not None):
            raise ValueError("no_entities is for sequence_labelling, and needed there")
        for name, template in self.templates.items():
            if (self.kind == "multiple_choice") != (template.formulation is not None):
                raise ValueError(f"templates.{name}: formulation is for multiple_choice, and needed there")
        return self


def task_names() -> list[str]:
    """Names of the tasks whose items eurolm carries, sorted."""
    return sorted(path.stem for path in _directory().glob("*.yaml"))


def fetched_names() -> list[str]:
    """Names of the tasks whose items are fetched from their source, sorted."""
    return sorted(path.stem for path in (_directory() / "hub").glob("*.yaml"))


def load_task(name: str) -> Task:
    """The task called `name`, carried or fetched, or that of a YAML file. Raises ConfigError for an unknown name."""
    if name.endswith((".yaml", ".yml")):
        return read_task(Path(name))
    for path in (_directory() / f"{name}.yaml", _directory() / "hub" / f"{name}.yaml"):
        if path.is_file():
            return read_task(path)
    known = [*task_names(), *fetched_names()]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ConfigError(
        f"evaluate.tasks: {name!r} is not a task.{hint} There are: {', '.join(known)}; one of your own is named by its "
        "YAML file."
    )


def read_task(path: Path) -> Task:
    """A task from its YAML file. Raises ConfigError naming file, field and rule."""
    try:
        tree = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        task = Task.model_validate({**tree, "directory": path.parent})
    except ValidationError as error:
        lines = [
            ": ".join([str(path), *filter(None, [".".join(map(str, detail["loc"]))]), detail["msg"]])
            for detail in error.errors(include_url=False)
        ]
        raise ConfigError("\n".join(lines)) from None
    except FileNotFoundError:
        raise ConfigError(f"{path}, named as a task, does not exist.") from None
    except (YAMLError, UnicodeDecodeError, TypeError) as error:
        raise ConfigError(f"{path} is not a YAML mapping in UTF-8: {error}") from None
    if task.name != path.stem:
        raise ConfigError(f"{path}: name = {task.name!r} differs from the file's name. Rename one of them.")
    return task


def with_items(task: Task, items: str | Path | None) -> Task:
    """The same task over the items of another file, over the full fetched ones (`full`), or as it is (null)."""
    if items is None:
        return task
    path = task.fetched_path if items == FULL else Path(items)
    return task.model_copy(update={"items": str(path.resolve())})


def _directory() -> Path:
    return shipped("configs") / "evaluation" / "tasks"
