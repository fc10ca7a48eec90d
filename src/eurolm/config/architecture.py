"""Config of the model: an architecture of `transformers` built from sizes, or weights to continue from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from eurolm.config.fields import Output, Section

Family = Literal["llama", "mistral", "qwen2", "qwen3", "gemma3_text", "olmo2"]


class ModelConfig(Section):
    """A decoder from `transformers`, built from sizes or continued from a local checkpoint."""

    use: Output[Path | None] = None
    """Continue from the Hugging Face model (safetensors) in this directory; its sizes replace those below. Its
    vocabulary is extended to the run's tokenizer where the two differ."""
    family: Output[Family] = "llama"
    """Architecture, by its `model_type` in `transformers`."""
    hidden_size: Output[int] = Field(default=256, gt=0)
    """Width of the residual stream."""
    layers: Output[int] = Field(default=6, gt=0)
    """Decoder layers."""
    attention_heads: Output[int] = Field(default=4, gt=0)
    """Query heads."""
    key_value_heads: Output[int] = Field(default=4, gt=0)
    """Key and value heads (grouped-query attention); divides `attention_heads`."""
    head_size: Output[int | None] = Field(default=None, gt=0)
    """Width of one head; null takes `hidden_size` / `attention_heads`."""
    intermediate_size: Output[int] = Field(default=704, gt=0)
    """Width of the gated feed-forward."""
    max_position_tokens: Output[int] = Field(default=2048, gt=0)
    """Longest context the model declares."""
    rope_theta: Output[float] = Field(default=10_000.0, gt=0)
    """Base of the rotary embedding; of the global layers in gemma3_text, whose local ones keep 10,000."""
    sliding_window_tokens: Output[int | None] = Field(default=None, gt=0)
    """Tokens that attention looks back: in every layer of mistral, in five of six of gemma3_text. Null is no limit for
    mistral and 1,024 for gemma3_text; other families have none."""
    tie_embeddings: Output[bool] = True
    """Share the input embedding with the output head."""
    seed: Output[int] = 1
    """Seed of the initial weights."""
