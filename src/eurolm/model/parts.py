"""Parts of a model that learn at rates of their own."""

from __future__ import annotations

from typing import Any

from eurolm.config.train import Part


def part_of(model: Any, name: str) -> Part:
    """Where the parameter `name` of a `transformers` model belongs; a head tied to the embedding is part of that."""
    parameter = model.get_parameter(name)
    if parameter is model.get_input_embeddings().weight:
        return "embeddings"
    return "head" if parameter is model.get_output_embeddings().weight else "body"
