"""What every part of a machine profile is made of: values with a source, and a reason where there is no value."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

Confidence = Literal["operator", "paper", "third_party", "derived", "recalled"]
"""`operator`: site documentation or maintainers. `third_party`: one team's experience. `recalled`: verify it."""


class Fact(BaseModel):
    """Base of all sections of a profile: immutable, unknown keys refused, docstrings beside fields kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


class Facts(Fact):
    """A group of values from one source. A null must be explained in `unknown`, so that nothing is guessed silently."""

    source: str
    """Where the values were found."""
    confidence: Confidence
    """How good that source is."""
    sources: dict[str, str] = {}
    """Fields of this group that come from elsewhere: field → source."""
    unknown: dict[str, str] = {}
    """Why a field is null: field → reason."""

    @model_validator(mode="after")
    def _nulls_are_explained(self) -> Self:
        for name, field in type(self).model_fields.items():
            if field.is_required() and getattr(self, name) is None and name not in self.unknown:
                raise ValueError(f"{name} is null without a reason; add `unknown: {{{name}: why}}`")
        for name in (*self.unknown, *self.sources):
            if name not in type(self).model_fields:
                raise ValueError(f"{name} is explained but is not a field here")
        return self

    def source_of(self, field: str) -> str:
        """Where the value of `field` comes from."""
        return self.sources.get(field, self.source)
