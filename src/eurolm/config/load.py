"""From a YAML file and overrides to a validated `Config`, with errors that name file, line and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from eurolm.config.model import Config
from eurolm.config.sources import Composed, compose, walk
from eurolm.errors import ConfigError


@dataclass(frozen=True)
class LoadedConfig:
    """A validated config, the file it came from, and the origin of every value that is not a default."""

    config: Config
    path: Path
    origins: dict[str, str]


def load_config(path: Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read, compose and validate. Raises ConfigError with one line per mistake."""
    composed = compose(path, overrides)
    try:
        config = Config.model_validate(composed.tree)
    except ValidationError as error:
        lines = [explain_error(detail, composed, Config) for detail in error.errors(include_url=False)]
        raise ConfigError("\n".join(lines)) from None
    return LoadedConfig(config, path.resolve(), composed.origins)


def origin(dotted: str, origins: dict[str, str]) -> str:
    """Where the value at `dotted` came from: its own origin, else that of the list or mapping it stands in."""
    while dotted:
        if dotted in origins:
            return origins[dotted]
        dotted = dotted.rpartition(".")[0]
    return "default"


def explain(loaded: LoadedConfig) -> list[tuple[str, Any, str]]:
    """Every leaf value of the config: (dotted path, value, origin)."""
    dumped = loaded.config.model_dump(mode="json", by_alias=True)
    rows: list[tuple[str, Any, str]] = []
    for dotted, value in walk(dumped):
        if isinstance(value, (dict, list)) and value:
            continue
        # A key absent from the files is a default even where its section was written.
        known = dotted in loaded.origins or dotted.rpartition(".")[2].isdigit()
        rows.append((dotted, value, origin(dotted, loaded.origins) if known else "default"))
    return rows + [(key, value, "derived") for key, value in derived(loaded.config).items()]


def derived(config: Config) -> dict[str, int]:
    """Figures that follow from the config alone."""
    phases = config.mixture.phases
    steps = sum(phase.steps for phase in phases)
    tokens = sum(phase.samples * phase.row_tokens for phase in phases)
    return {"train.steps": steps, "train.tokens": tokens}


def explain_error(detail: ErrorDetails, composed: Composed, root: type[BaseModel]) -> str:
    """One mistake in a file of shape `root` as a sentence: key, value, rule, file and line."""
    location = [str(part) for part in detail["loc"]]
    dotted = ".".join(location)
    where = origin(dotted, composed.origins)
    if detail["type"] == "extra_forbidden":
        return f"{dotted} is not a known key.{_nearest(location, root)} ({where})"
    if detail["type"] == "missing":
        place = where if where != "default" else "not set anywhere"
        return f"{dotted} is missing: {_described(location, root)} ({place})"
    return f"{dotted} = {detail['input']!r}: {_lower_first(detail['msg'])}. {_described(location, root)} ({where})"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _nearest(location: list[str], root: type[BaseModel]) -> str:
    model = _model_at(location[:-1], root)
    if model is None:
        return ""
    known = [field.alias or name for name, field in model.model_fields.items()]
    close = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
    return f" Nearest: {'.'.join([*location[:-1], close[0]])}." if close else f" Known here: {', '.join(known)}."


def _described(location: list[str], root: type[BaseModel]) -> str:
    model = _model_at(location[:-1], root)
    if model is None:
        return ""
    for name, field in model.model_fields.items():
        if (field.alias or name) == location[-1]:
            return (field.description or "").split("\n")[0]
    return ""


def _model_at(location: list[str], root: type[BaseModel]) -> type[BaseModel] | None:
    """The section class that the keys `location` lead to, or null when they lead elsewhere."""
    model: type[BaseModel] | None = root
    for key in location:
        if model is None:
            return None
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if key in fields:
            model = _section_in(fields[key].annotation) or model
        elif not key.isdigit() and not _holds_mapping(model, key):
            return None
    return model


def _holds_mapping(model: type[BaseModel], key: str) -> bool:
    # After descending into `dict[Language, LanguageRules]` the next key is a language, not a field.
    return key not in model.model_fields


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section class inside an annotation such as `list[SourceConfig]` or `dict[str, LanguageRules]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _section_in(argument)
        if found is not None:
            return found
    return None
