"""Attention kernel of the model that is trained, what it must be told of packed rows, and activation checkpointing."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts
from transformers.utils import is_flash_attn_2_available

from eurolm.config.train import TrainConfig
from eurolm.errors import ConfigError

EAGER_TOKENS = 1024
"""Rows up to this length use plain attention on a CPU: its bf16 matrix products beat torch's fused kernel there
(Zen 4, a 7M model, rows of 256 and 512 tokens: the whole step takes 13 and 19 % less time)."""
FLASH = "flash_attention_2"
DENSE_MASK_TOKENS = 8192
"""Rows from this length on are warned of with SDPA: it builds a [row, row] mask per forward pass."""


def choose_attention(train: TrainConfig, device: torch.device, longest_row: int) -> tuple[str, str | None]:
    """(kernel, warning or None). Raises ConfigError for FlashAttention where it is not installed or there is no GPU.

    FlashAttention-2 takes packed rows as one ragged batch; SDPA turns restarting positions into a dense mask.
    """
    flash = device.type != "cpu" and is_flash_attn_2_available()
    if train.attention == FLASH and not flash:
        raise ConfigError(
            "train.attention = flash_attention_2 needs a GPU and the flash-attn package (LUMI's containers carry it). "
            "Set train.attention=auto."
        )
    kernel: str = train.attention
    if kernel == "auto":
        short = device.type == "cpu" and longest_row <= EAGER_TOKENS
        kernel = FLASH if flash else "eager" if short else "sdpa"
    if kernel == FLASH or device.type == "cpu" or longest_row < DENSE_MASK_TOKENS:
        return kernel, None
    return kernel, (
        f"attention is {kernel} on packed rows of {longest_row:,} tokens: each forward pass builds a mask of "
        f"{longest_row**2 / 1e6:,.0f} MB per row. Install flash-attn, or shorten the rows."
    )


def document_spans(model: Any, position_ids: NDArray[np.int64], device: torch.device) -> dict[str, Any]:
    """Where the documents of a batch lie, as FlashAttention-2 must be told; empty for other kernels, which build a mask
    from the positions.

    `position_ids` int64 [rows, row_tokens] are 0 where a document, padding or row begins. From positions transformers
    finds documents only in a batch of one row, and asks the device about it in every layer; in a larger batch it lets
    them see each other without a word (modeling_flash_attention_utils.py, `_is_packed_sequence`). With these arguments
    it takes the rows as one ragged batch: bounds int32 [documents + 1] on `device`, and the longest document, as a
    number of the host, so that no layer waits for the device.
    """
    if model.config._attn_implementation != FLASH:
        return {}
    edges = np.append(np.flatnonzero(position_ids == 0), position_ids.size)
    bounds = torch.from_numpy(edges.astype(np.int32)).to(device, non_blocking=True)
    longest = int(np.diff(edges).max())
    return {"cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds, "max_length_q": longest, "max_length_k": longest}


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
