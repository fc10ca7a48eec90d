"""What a model's code allows a scorer, found by trying it on a few tokens rather than by name.

Two shortcuts need the model's consent: logits from the output head alone, and several texts in one row under a mask.
Attention kernels, linear attention and positions built from masks all differ there, and a wrong guess would be a wrong
score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from eurolm.errors import InputError
from eurolm.scoring.loglikelihood import Queries, evaluating, score_queries

MASKED_ATTENTION = "sdpa"
"""The attention kernel of transformers that takes a bool mask of any shape; FlashAttention would ignore it."""

MASK_ERROR = 0.1
"""How much of what the mask is to change may be left; more is more than rounding."""

PROBE = 8
"""Tokens of the trial: four shared ones, and two branches of two."""


@dataclass(frozen=True)
class Traits:
    """How a model may be scored."""

    masks: bool
    """Texts with a common beginning may share a row."""
    window: int | None
    """Sliding attention window; an explicit mask would override it, so longer texts have rows of their own."""


@torch.no_grad()
def examine(model: Any) -> Traits:
    """Try both shortcuts. Raises InputError where the output head does not give the model's logits."""
    device = next(model.parameters()).device
    rows = model.get_input_embeddings().weight.shape[0]
    ids = (torch.arange(1, 1 + PROBE, device=device) * (rows // (PROBE + 1)))[None]
    positions = torch.arange(PROBE, device=device)[None]
    flat = np.arange(PROBE)
    targets = np.roll(ids[0].cpu().numpy(), -1)
    with evaluating(model):
        found, _ = score_queries(model, ids, positions, Queries(flat, targets))
        logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits[0].float()
        wanted = torch.log_softmax(logits, -1)[torch.from_numpy(flat), torch.from_numpy(targets)].cpu().numpy()
        rounding = torch.finfo(model.dtype).eps * float(logits.abs().max())
        slack = 2 * rounding + 1e-4 * max(1.0, float(np.abs(wanted).max()))
        if np.isfinite(wanted).all() and not np.abs(found - wanted).max() <= slack:
            raise InputError(
                f"this {model.config.model_type} model's logits are not its output head applied to its last hidden "
                f"state (they differ by {np.abs(found - wanted).max():.3g}), which is all that eurolm's scorer "
                "computes. Score it with --backend lm-eval."
            )
        return Traits(_takes_mask(model, ids, positions), getattr(model.config, "sliding_window", None))


def _takes_mask(model: Any, ids: torch.Tensor, positions: torch.Tensor) -> bool:
    """Whether two texts in one row under a mask have the hidden states they have alone."""
    if getattr(model.config, "_attn_implementation", None) != MASKED_ATTENTION:
        return False
    trunk, half = PROBE // 2, PROBE // 2 + PROBE // 4
    mask = torch.ones(PROBE, PROBE, dtype=torch.bool, device=ids.device).tril()
    mask[half:, trunk:half] = False
    branched = positions.clone()
    branched[0, half:] -= half - trunk

    def hidden(inputs: torch.Tensor, places: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
        output = model.base_model(input_ids=inputs, position_ids=places, attention_mask=seen, use_cache=False)
        state: torch.Tensor = output.last_hidden_state[0].float()
        return state

    together = hidden(ids, branched, mask[None, None])
    first = hidden(ids[:, :half], positions[:, :half], None)
    second = hidden(torch.cat((ids[:, :trunk], ids[:, half:]), 1), positions[:, :half], None)
    unmasked = hidden(ids, positions, None)
    error = (together - torch.cat((first, second[trunk:]))).abs().mean()
    effect = (unmasked[half:] - second[trunk:]).abs().mean()
    return not bool(error > MASK_ERROR * effect)
