"""How many tokens run at once, where nobody said: by cache on a CPU, by memory on an accelerator.

The size decides which texts share a batch and so, in the last bits, the scores: an evaluation records it and takes the
recorded one when it goes on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from eurolm.errors import MachineError
from eurolm.scoring.loglikelihood import Queries, evaluating, score_queries
from eurolm.scoring.ranks import ALONE, Ranks

CPU_TOKENS = 2048
"""Tokens per batch on a CPU: activations of a small model stay in the cache, products are still large. Measured with
bodies 64, 256 and 512 wide: 512 to 2,048 within 5 %, 8,192 up to half the speed."""

MOST_TOKENS = 2**17
"""Where the search starts on an accelerator; beyond that a pass gains nothing."""

SPARE = 1.25
"""The trial is that much larger than the size it clears: memory fragments in the course of an evaluation."""


def automatic_batch_tokens(model: Any, longest: int, ranks: Ranks = ALONE) -> int:
    """Padded tokens per forward pass for texts of at most `longest` tokens; the same on every rank.

    On an accelerator a batch of the longest texts is tried, under a mask and scored at every place, and halved until
    it fits the free memory. Raises MachineError where one such text does not fit.
    """
    if next(model.parameters()).device.type == "cpu":
        return CPU_TOKENS
    return min(ranks.together(lambda: _largest(model, longest)))


def _largest(model: Any, longest: int) -> int:
    tokens = max(MOST_TOKENS, longest)
    while True:
        try:
            _try(model, max(1, int(SPARE * tokens) // longest), longest)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            if tokens <= longest:
                raise MachineError(
                    f"a text of {longest} tokens does not fit the free memory of the device beside the model. "
                    "Free the device, or shorten the context (evaluate.context_tokens, fewer examples per prompt)."
                ) from None
            tokens = max(longest, tokens // 2)
        else:
            return tokens


def _try(model: Any, rows: int, width: int) -> None:
    device = next(model.parameters()).device
    inputs = torch.zeros(rows, width, dtype=torch.long, device=device)
    positions = torch.arange(width, device=device).expand(rows, width)
    mask = torch.ones(width, width, dtype=torch.bool, device=device).tril().expand(rows, 1, width, width).contiguous()
    flat = np.arange(rows * width)
    with evaluating(model):
        score_queries(model, inputs, positions, Queries(flat, np.zeros_like(flat)), mask)
