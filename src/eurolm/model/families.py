"""Families of `transformers` models, and what of each follows from the sizes in a config.

Refused: models that change their logits after the output embedding. The loss computes logits itself, chunk by chunk,
and would train another model than the one `transformers` runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PretrainedConfig

from eurolm.config.architecture import Family, ModelConfig
from eurolm.errors import ConfigError, InputError
from eurolm.model.size import GEMMA_WINDOW_TOKENS, check_shape, padded_vocabulary

INITIAL_DEVIATION = 0.02
"""Standard deviation of initial matrices (GPT-2, Radford et al. 2019)."""

LOGIT_CHANGES = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "softcap",
    "lm_head_multiplier",
    "dim_model_base",
)
"""Fields of a model's config that bend logits after the output embedding (Gemma 2, Cohere, Granite, nanochat,
Falcon-H1, MiniCPM)."""


@dataclass(frozen=True)
class FamilyFacts:
    """What sets a family apart from the others."""

    norm_epsilon: float
    """As in the published models."""
    norm_start: float = 1.0
    """Stored weight of a norm that does nothing: 0 where the layer multiplies by 1 + weight."""
    names_head_size: bool = False
    """Whether its config has a width of heads that does not follow from `hidden_size`."""


FAMILIES: dict[Family, FamilyFacts] = {
    "llama": FamilyFacts(1e-5),
    "mistral": FamilyFacts(1e-5),
    "qwen2": FamilyFacts(1e-6),
    "qwen3": FamilyFacts(1e-6, names_head_size=True),
    "gemma3_text": FamilyFacts(1e-6, norm_start=0.0, names_head_size=True),
    "olmo2": FamilyFacts(1e-6),
}


def transformers_config(config: ModelConfig, vocab_size: int, eod_id: int) -> PretrainedConfig:
    """The config of a model to build. Raises ConfigError for sizes that the family cannot have."""
    check_shape(config)
    if config.sliding_window_tokens is not None and config.family not in ("mistral", "gemma3_text"):
        raise ConfigError(
            f"model.sliding_window_tokens = {config.sliding_window_tokens}: {config.family} attends to the whole "
            "context. Leave it null, or take model.family=mistral."
        )
    facts = FAMILIES[config.family]
    own = _own(config)
    if facts.names_head_size or config.head_size is not None:
        own["head_dim"] = _head_size(config)
    return AutoConfig.for_model(
        config.family,
        vocab_size=padded_vocabulary(vocab_size),
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.attention_heads,
        num_key_value_heads=config.key_value_heads,
        max_position_embeddings=config.max_position_tokens,
        rope_theta=config.rope_theta,
        rms_norm_eps=facts.norm_epsilon,
        tie_word_embeddings=config.tie_embeddings,
        initializer_range=INITIAL_DEVIATION,
        bos_token_id=eod_id,
        eos_token_id=eod_id,
        # Named only in the generation config: a pad id here becomes the embedding's `padding_idx`, which zeroes that
        # row and blocks its gradient, and EOD, which every document starts with, would never be learnt.
        pad_token_id=None,
        attn_implementation="sdpa",
        use_cache=True,
        **own,
    )


def _head_size(config: ModelConfig) -> int:
    return config.head_size or config.hidden_size // config.attention_heads


def _own(config: ModelConfig) -> dict[str, Any]:
    """Fields that only this family has."""
    if config.family == "mistral":
        return {"sliding_window": config.sliding_window_tokens}
    if config.family == "qwen2":
        return {"use_sliding_window": False}
    if config.family == "gemma3_text":
        return {
            "sliding_window": config.sliding_window_tokens or GEMMA_WINDOW_TOKENS,
            "query_pre_attn_scalar": _head_size(config),
        }
    return {}


def check_continuable(config: Any, place: Path) -> None:
    """Raise InputError for a model that training cannot go on from."""
    if config.model_type not in FAMILIES:
        parts = (
            " Save its text part alone (its language model) and give that." if hasattr(config, "text_config") else ""
        )
        raise InputError(
            f"model.use = {place} is a {config.model_type} model; eurolm counts, plans and trains "
            f"{', '.join(FAMILIES)}.{parts}"
        )
    if getattr(config, "quantization_config", None) is not None:
        raise InputError(
            f"model.use = {place} is quantised, and rounded weights cannot be trained. Give the model it was made from."
        )
    refuse_bent_logits(config)


def refuse_bent_logits(config: Any) -> None:
    """Raise InputError for the config of a model whose logits are not its output embedding times its last state."""
    for name in LOGIT_CHANGES:
        if getattr(config, name, None) not in (None, 1, 1.0):
            raise InputError(
                f"this {config.model_type} model sets {name} = {getattr(config, name)}: its logits are not its output "
                "embedding times its last hidden state, which is all the loss of training computes. It can be "
                "evaluated; to train, take a model without it."
            )
