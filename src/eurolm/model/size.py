"""Parameters and arithmetic of a model in closed form: no torch, fit for a login node.

The counts follow the Llama block: RMSNorm, grouped-query attention without biases, SwiGLU feed-forward. A test holds
them equal to the built model.
"""

from __future__ import annotations

from dataclasses import dataclass

from eurolm.config.architecture import ModelConfig
from eurolm.errors import ConfigError

VOCABULARY_MULTIPLE = 128
"""Embedding rows are padded to a multiple of this: aligned matrix shapes, and divisible by any tensor-parallel size."""


@dataclass(frozen=True)
class ParameterCount:
    """Parameters by place. `total` counts a tied embedding once."""

    embedding: int
    head: int
    layers: int
    final_norm: int

    @property
    def total(self) -> int:
        """All parameters that are stored and trained."""
        return self.embedding + self.head + self.layers + self.final_norm


def padded_vocabulary(vocab_size: int) -> int:
    """Embedding rows for a tokenizer of `vocab_size` entries."""
    return -(-vocab_size // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE


def parameters(config: ModelConfig, vocab_size: int) -> ParameterCount:
    """Parameter count of the model built from `config` for a tokenizer of `vocab_size` entries."""
    width, rows = config.hidden_size, padded_vocabulary(vocab_size)
    head_width = width // config.attention_heads
    attention = 2 * width * width + 2 * width * config.key_value_heads * head_width
    feed_forward = 3 * width * config.intermediate_size
    return ParameterCount(
        embedding=rows * width,
        head=0 if config.tie_embeddings else rows * width,
        layers=config.layers * (attention + feed_forward + 2 * width),
        final_norm=width,
    )


def forward_flops_per_token(config: ModelConfig, vocab_size: int, context_tokens: int) -> int:
    """Multiply-adds count two. Matrices of the layers, the output head, and attention over `context_tokens`.

    Attention is counted in full (no saving for the causal half), as in PaLM, appendix B (arXiv 2204.02311): the usual
    reference for model FLOPs utilisation, so that figures compare.
    """
    count = parameters(config, vocab_size)
    norms = config.layers * 2 * config.hidden_size
    head = padded_vocabulary(vocab_size) * config.hidden_size
    attention = 2 * config.layers * config.hidden_size * context_tokens
    return 2 * (count.layers - norms + head + attention)


def training_flops_per_token(config: ModelConfig, vocab_size: int, context_tokens: int) -> int:
    """Forward and backward: three times the forward pass, recomputation not counted."""
    return 3 * forward_flops_per_token(config, vocab_size, context_tokens)


def check_shape(config: ModelConfig) -> None:
    """Raise ConfigError for sizes that no Llama can have."""
    width, heads, groups = config.hidden_size, config.attention_heads, config.key_value_heads
    if width % heads:
        raise ConfigError(
            f"model.hidden_size = {width} is not a multiple of model.attention_heads = {heads}. "
            f"Nearest: hidden_size {_nearest_multiples(width, heads)}."
        )
    if (width // heads) % 2:
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
