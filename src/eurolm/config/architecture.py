"""Config of the model: an architecture of `transformers` built from sizes, or weights to continue from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from eurolm.config.fields import Output, Section


class ModelConfig(Section):
    """A decoder from `transformers`, built from sizes or continued from a local checkpoint."""

    use: Output[Path | None] = None
    """Continue from the Hugging Face model (safetensors) in this directory; its sizes replace those below."""
    family: Output[Literal["llama"]] = "llama"
    """Architecture in `transformers`."""
    hidden_size: Output[int] = Field(default=256, gt=0)
    """Width of the residual stream."""
    layers: Output[int] = Field(default=6, gt=0)
    """Decoder layers."""
    attention_heads: Output[int] = Field(default=4, gt=0)
    """Query heads."""
    key_value_heads: Output[int] = Field(default=4, gt=0)
    """Key and value heads (grouped-query attention); divides `attention_heads`."""
    intermediate_size: Output[int] = Field(default=704, gt=0)
    """Width of the SwiGLU feed-forward."""
    max_position_tokens: Output[int] = Field(default=2048, gt=0)
    """Longest context the model declares."""
    rope_theta: Output[float] = Field(default=10_000.0, gt=0)
    """Base of the rotary embedding."""
    tie_embeddings: Output[bool] = True
    """Share the input embedding with the output head."""
    seed: Output[int] = 1
    """Seed of the initial weights."""
