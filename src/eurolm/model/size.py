"""Sizes, parameters and arithmetic of a decoder in closed form: no torch, fit for a login node.

Sizes come from a config section or from a model's config.json. Six families of `transformers` are known; another one is
refused, because a count that is nearly right misleads. A test holds the counts equal to those of the built models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from eurolm.config.architecture import Family, ModelConfig
from eurolm.errors import ConfigError, InputError

VOCABULARY_MULTIPLE = 128
"""Embedding rows are padded to a multiple of this: aligned matrix shapes, and divisible by any tensor-parallel size."""

GEMMA_WINDOW_TOKENS = 1024
"""Window of the local layers of gemma3_text where the config names none (its technical report, arXiv 2503.19786)."""
GEMMA_PERIOD = 6
"""In gemma3_text every sixth layer attends to the whole context."""


@dataclass(frozen=True)
class Shape:
    """A decoder with gated feed-forward. Sizes in elements."""

    family: Family
    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head: int
    """Width of one head."""
    intermediate: int
    embedding_rows: int
    tied: bool
    """Whether the output head is the embedding."""
    query_key_value_bias: bool
    output_bias: bool
    """Bias of the attention's output projection."""
    feed_forward_bias: bool
    query_key_norm: Literal["none", "head", "full"]
    """Norm over each head, or over all of them together."""
    norms_per_layer: int
    """Norms of the hidden width per layer."""
    local_layers: int
    """Layers whose attention looks back `window` tokens only."""
    window: int | None

    @property
    def query(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head

    @property
    def key_value(self) -> int:
        """Width of all key (or value) heads."""
        return self.key_value_heads * self.head


def padded_vocabulary(vocab_size: int) -> int:
    """Embedding rows for a tokenizer of `vocab_size` entries."""
    return -(-vocab_size // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE


def shape_of(config: ModelConfig, vocab_size: int) -> Shape:
    """The model that `config` builds for a tokenizer of `vocab_size` entries.

    With `model.use` the sizes are those of its config.json, and the embedding grows where the tokenizer is larger.
    """
    if config.use is not None:
        return read_shape(config.use, vocab_size)
    local = _local_layers(config.family, config.layers, config.sliding_window_tokens)
    return Shape(
        family=config.family,
        hidden=config.hidden_size,
        layers=config.layers,
        heads=config.attention_heads,
        key_value_heads=config.key_value_heads,
        head=config.head_size or config.hidden_size // config.attention_heads,
        intermediate=config.intermediate_size,
        embedding_rows=padded_vocabulary(vocab_size),
        tied=config.tie_embeddings,
        query_key_value_bias=config.family == "qwen2",
        output_bias=False,
        feed_forward_bias=False,
        query_key_norm=_query_key_norm(config.family),
        norms_per_layer=4 if config.family == "gemma3_text" else 2,
        local_layers=local,
        window=(config.sliding_window_tokens or GEMMA_WINDOW_TOKENS) if local else None,
    )


def read_shape(model: Path, vocab_size: int | None = None) -> Shape:
    """The sizes in the config.json of a model directory; `vocab_size` of a tokenizer can only enlarge the embedding.

    Raises InputError where there is none, ConfigError for a family that is not known here.
    """
    path = model / "config.json"
    try:
        value = json.loads(path.read_bytes())
        family = value["model_type"]
        if family not in get_args(Family):
            raise ConfigError(f"{path}: model_type = {family!r} is none of {', '.join(get_args(Family))}.")
        return _from_json(value, family, vocab_size)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the config.json of a model: {error}") from None


def _from_json(value: dict[str, Any], family: Family, vocab_size: int | None) -> Shape:
    heads, layers, hidden = value["num_attention_heads"], value["num_hidden_layers"], value["hidden_size"]
    rows = value["vocab_size"]
    head_default = {"qwen3": 128, "gemma3_text": 256}.get(family, hidden // heads)
    attention_bias = bool(value.get("attention_bias", False))
    window = value.get("sliding_window") if value.get("use_sliding_window", family != "qwen2") else None
    kinds = value.get("layer_types")
    local = kinds.count("sliding_attention") if kinds else _local_layers(family, layers, window)
    return Shape(
        family=family,
        hidden=hidden,
        layers=layers,
        heads=heads,
        key_value_heads=value.get("num_key_value_heads") or heads,
        head=value.get("head_dim") or head_default,
        intermediate=value["intermediate_size"],
        embedding_rows=max(rows, padded_vocabulary(vocab_size)) if vocab_size and vocab_size > rows else rows,
        tied=bool(value.get("tie_word_embeddings", family == "gemma3_text")),
        query_key_value_bias=family == "qwen2" or (attention_bias and family != "mistral"),
        output_bias=attention_bias and family not in ("mistral", "qwen2"),
        feed_forward_bias=family == "llama" and bool(value.get("mlp_bias", False)),
        query_key_norm=_query_key_norm(family),
        norms_per_layer=4 if family == "gemma3_text" else 2,
        local_layers=local if window or family == "gemma3_text" else 0,
        window=window or (GEMMA_WINDOW_TOKENS if family == "gemma3_text" else None),
    )


def _query_key_norm(family: Family) -> Literal["none", "head", "full"]:
    if family in ("qwen3", "gemma3_text"):
        return "head"
    return "full" if family == "olmo2" else "none"


def _local_layers(family: Family, layers: int, window: int | None) -> int:
    if family == "gemma3_text":
        return layers - layers // GEMMA_PERIOD
    return layers if family == "mistral" and window else 0


def check_shape(config: ModelConfig) -> None:
    """Raise ConfigError for sizes that no model of these families can have."""
    width, heads, groups = config.hidden_size, config.attention_heads, config.key_value_heads
    if config.head_size is None and width % heads:
        raise ConfigError(
            f"model.hidden_size = {width} is not a multiple of model.attention_heads = {heads}. "
            f"Nearest: hidden_size {_nearest_multiples(width, heads)}; or set model.head_size."
        )
    if config.head_size is not None and config.head_size % 2:
        raise ConfigError(
            f"model.head_size = {config.head_size} is odd: rotary embeddings turn pairs of dimensions. "
            f"Nearest: {config.head_size - 1 or 2} or {config.head_size + 1}."
        )
    if config.head_size is None and (width // heads) % 2:
        raise ConfigError(
            f"model.hidden_size / model.attention_heads = {width} / {heads} = {width // heads} is odd: rotary "
            f"embeddings turn pairs of dimensions. Nearest: hidden_size {_nearest_multiples(width, 2 * heads)}."
        )
    if heads % groups:
        divisors = [number for number in range(1, heads + 1) if heads % number == 0]
        raise ConfigError(
            f"model.key_value_heads = {groups} does not divide model.attention_heads = {heads}. "
            f"Possible: {', '.join(map(str, divisors))}."
        )


def _nearest_multiples(value: int, divisor: int) -> str:
    below, above = value // divisor * divisor, -(-value // divisor) * divisor
    return f"{below} or {above}" if below else str(above)


@dataclass(frozen=True)
class ParameterCount:
    """Parameters by place. `total` counts a tied embedding once."""

    embedding: int
    head: int
    """Output head; 0 where it is the embedding."""
    matrices: int
    """Matrices of the layers."""
    vectors: int
    """Norms and biases of the layers."""
    final_norm: int

    @property
    def layers(self) -> int:
        """All parameters of the layers."""
        return self.matrices + self.vectors

    @property
    def total(self) -> int:
        """All parameters that are stored and trained."""
        return self.embedding + self.head + self.layers + self.final_norm


def count(shape: Shape) -> ParameterCount:
    """Parameter count of a model of this shape."""
    width, query, key_value = shape.hidden, shape.query, shape.key_value
    matrices = 2 * width * query + 2 * width * key_value + 3 * width * shape.intermediate
    vectors = shape.norms_per_layer * width
    vectors += (query + 2 * key_value) * shape.query_key_value_bias + width * shape.output_bias
    vectors += (2 * shape.intermediate + width) * shape.feed_forward_bias
    vectors += {"none": 0, "head": 2 * shape.head, "full": query + key_value}[shape.query_key_norm]
    return ParameterCount(
        embedding=shape.embedding_rows * width,
        head=0 if shape.tied else shape.embedding_rows * width,
        matrices=shape.layers * matrices,
        vectors=shape.layers * vectors,
        final_norm=width,
    )


def forward_flops(shape: Shape, context_tokens: int) -> int:
    """FLOPs per token, multiply-adds counted as two: matrices of the layers, the output head, and attention.

    Attention is counted in full over the context (or the window of a local layer), with no saving for the causal half,
    as in PaLM, appendix B (arXiv 2204.02311): the usual reference for model FLOPs utilisation, so that figures compare.
    """
    head = shape.embedding_rows * shape.hidden
    seen_locally = min(context_tokens, shape.window or context_tokens)
    seen = (shape.layers - shape.local_layers) * context_tokens + shape.local_layers * seen_locally
    return 2 * (count(shape).matrices + head + 2 * shape.query * seen)


def parameters(config: ModelConfig, vocab_size: int) -> ParameterCount:
    """Parameter count of the model built from `config` for a tokenizer of `vocab_size` entries."""
    return count(shape_of(config, vocab_size))


def forward_flops_per_token(config: ModelConfig, vocab_size: int, context_tokens: int) -> int:
    """`forward_flops` of the model built from `config` for a tokenizer of `vocab_size` entries."""
    return forward_flops(shape_of(config, vocab_size), context_tokens)


def training_flops_per_token(config: ModelConfig, vocab_size: int, context_tokens: int) -> int:
    """Forward and backward: three times the forward pass, recomputation not counted."""
    return 3 * forward_flops_per_token(config, vocab_size, context_tokens)
