"""The special tokens of every eurolm tokenizer, reserved from the first training run on.

They take the lowest ids, in this order, so that their ids never depend on the text; spare ones follow. A model
trained today can then learn a chat format or a tool protocol later without growing its embedding.
"""

from __future__ import annotations

END_OF_DOCUMENT = "<|endoftext|>"
"""EOD: ends every document in the shards and, as BOS, opens every document in a row."""

PAD = "<|pad|>"
"""Padding of batches at inference; training rows are padded with EOD and masked."""

CHAT = ("<|im_start|>", "<|im_end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
"""Turn marks (ChatML) and one token per role."""


def special_tokens(spare: int) -> list[str]:
    """All special tokens in id order: EOD 0, padding 1, chat tokens, then `spare` tokens `<|spare_0|>` …"""
    return [END_OF_DOCUMENT, PAD, *CHAT, *(f"<|spare_{number}|>" for number in range(spare))]
