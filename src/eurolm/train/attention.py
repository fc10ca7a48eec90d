"""Attention kernel and activation checkpointing of the model that is trained."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts
from transformers.utils import is_flash_attn_2_available

from eurolm.config.train import TrainConfig
from eurolm.errors import ConfigError

EAGER_TOKENS = 1024
"""Rows up to this length use plain attention on a CPU: its bf16 matrix products beat torch's fused kernel there
(Zen 4, a 7M model, rows of 256 and 512 tokens: the whole step takes 13 and 19 % less time)."""
DENSE_MASK_TOKENS = 8192
"""Rows from this length on are warned of with SDPA: it builds a [row, row] mask per forward pass."""


def choose_attention(train: TrainConfig, device: torch.device, longest_row: int) -> tuple[str, str | None]:
    """(kernel, warning or None). Raises ConfigError for FlashAttention where it is not installed or there is no GPU.

    FlashAttention-2 takes packed rows as one ragged batch; SDPA turns restarting positions into a dense mask.
    """
    flash = device.type != "cpu" and is_flash_attn_2_available()
    if train.attention == "flash_attention_2" and not flash:
        raise ConfigError(
            "train.attention = flash_attention_2 needs a GPU and the flash-attn package (LUMI's containers carry it). "
            "Set train.attention=auto."
        )
    if train.attention != "auto":
        kernel = train.attention
    elif flash:
        kernel = "flash_attention_2"
    else:
        kernel = "eager" if device.type == "cpu" and longest_row <= EAGER_TOKENS else "sdpa"
    if kernel == "flash_attention_2" or device.type == "cpu" or longest_row < DENSE_MASK_TOKENS:
        return kernel, None
    return kernel, (
        f"attention is {kernel} on packed rows of {longest_row:,} tokens: each forward pass builds a mask of "
        f"{longest_row**2 / 1e6:,.0f} MB per row. Install flash-attn, or shorten the rows."
    )


KEPT = (
    "aten.mm.default",
    "aten.addmm.default",
    "aten.bmm.default",
    "aten._scaled_dot_product_flash_attention.default",
    "aten._scaled_dot_product_efficient_attention.default",
    "aten._scaled_dot_product_flash_attention_for_cpu.default",
    "flash_attn._flash_attn_varlen_forward.default",
)
"""Results that `selective` keeps: dear to compute, small to hold. Norms, activations and rotations are made again."""


def checkpoint_activations(model: Any, mode: str) -> None:
    """Set activation checkpointing of the decoder layers: `none`, `selective` or `full`. Non-reentrant, because the
    reentrant form loses gradients of inputs that need none."""
    if mode == "none":
        return
    arguments: dict[str, Any] = {"use_reentrant": False}
    if mode == "selective":
        arguments["context_fn"] = lambda: create_selective_checkpoint_contexts(_keeps)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=arguments)


def _keeps(_context: Any, operation: Any, *_args: Any, **_kwargs: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if str(operation) in KEPT else CheckpointPolicy.PREFER_RECOMPUTE
