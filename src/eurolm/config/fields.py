"""What every config section is made of: frozen pydantic models whose fields carry a tag and a docstring.

`Output[T]` marks a field that changes bytes or numbers and therefore belongs to the stage's fingerprint;
`Observation[T]` one that does not (worker counts, logging, retention). Both are plain annotations, so a type
checker sees `T`. A test holds that every leaf field has exactly one tag and a docstring.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.fields import FieldInfo

OUTPUT = "output"
OBSERVATION = "observation"

T = TypeVar("T")
Output = Annotated[T, OUTPUT]
Observation = Annotated[T, OBSERVATION]

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
"""Safe as a file name and on a command line: letters, digits, `_`, `.`, `-`."""

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
"""BCP-47 code: `lv`, `et`, `ltg`, `vro`."""


class Section(BaseModel):
    """Base of all config sections: immutable, unknown keys refused, docstrings beside fields kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())

    def output_fields(self) -> dict[str, Any]:
        """The fields that change bytes or numbers, as plain JSON values; what a fingerprint is made of."""
        return {
            name: _plain(getattr(self, name)) for name, field in type(self).model_fields.items() if tag(field) == OUTPUT
        }


def tag(field: FieldInfo) -> str:
    """`output` or `observation`. Raises TypeError for a field that declares neither."""
    for item in field.metadata:
        if item in (OUTPUT, OBSERVATION):
            return str(item)
    raise TypeError(f"config field {field!r} has no tag: annotate it with Output[...] or Observation[...]")


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.output_fields()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return str(value)
