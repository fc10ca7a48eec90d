"""Every config field says whether it changes the result, and what it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from eurolm.config.fields import Section, tag
from eurolm.config.model import Config


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        yield from inner(field.annotation)


def inner(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from sections(annotation)
    for argument in get_args(annotation):
        yield from inner(argument)


@pytest.mark.parametrize("section", dict.fromkeys(sections(Config)), ids=lambda section: section.__name__)
def test_every_field_has_a_tag_and_a_docstring(section: type[Section]) -> None:
    assert issubclass(section, Section)
    for name, field in section.model_fields.items():
        tag(field)
        assert field.description and field.description.endswith("."), f"{section.__name__}.{name}"


def test_output_fields_leave_observation_out() -> None:
    config = Config(name="x")
    assert "workers" not in config.corpus.output_fields()
    assert config.train.output_fields()["schedule"]["shape"] == "wsd"
    assert "ranks" not in config.train.output_fields()
