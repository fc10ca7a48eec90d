"""Log-probability of short texts as they stand, for minimal pairs: which of two sentences does the model prefer?

Each text is read as a document of its own (EOD before it). The two sides of a pair mostly begin alike, so they run in
one row and share their beginning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eurolm.errors import InputError
from eurolm.scoring.bits_per_byte import encode
from eurolm.scoring.branches import MASKED_ATTENTION, BranchedRow, branched_logprobs
from eurolm.scoring.loglikelihood import ScoredRow, row_logprobs

if TYPE_CHECKING:
    from eurolm.tokenizer.load import LoadedTokenizer


@dataclass(frozen=True)
class TextScore:
    """`log2_probability` summed over the text's tokens, and the text's size."""

    log2_probability: float
    bytes: int
    tokens: int


def score_pairs(
    model: Any,
    tokenizer: LoadedTokenizer,
    pairs: Sequence[tuple[str, str]],
    batch_tokens: int,
    advance: Callable[[float], None] | None = None,
    workers: int = 1,
) -> list[tuple[TextScore, TextScore]]:
    """Both sides of every pair, in order. `workers` batches run at once; `advance` is called with the share of the work
    just done.

    Raises InputError for a text longer than the model's declared context.
    """
    encoded = encode(tokenizer, [text for pair in pairs for text in pair])
    _check_lengths(encoded, getattr(model.config, "max_position_embeddings", None))
    scores = _together(model, encoded, tokenizer.eod_id, batch_tokens, advance, workers)
    sums = [float(score.sum(dtype=np.float64) / math.log(2)) for score in scores]
    results = [
        TextScore(value, len(text.encode()), len(ids))
        for value, text, ids in zip(sums, (text for pair in pairs for text in pair), encoded, strict=True)
    ]
    return list(zip(results[::2], results[1::2], strict=True))


def shared_prefix(first: np.ndarray, second: np.ndarray) -> int:
    """Number of equal ids at the beginning of both arrays."""
    length = min(len(first), len(second))
    different = np.flatnonzero(first[:length] != second[:length])
    return int(different[0]) if len(different) else length


def _together(
    model: Any,
    encoded: Sequence[np.ndarray],
    eod_id: int,
    batch_tokens: int,
    advance: Callable[[float], None] | None,
    workers: int,
) -> list[np.ndarray]:
    """Log-probabilities of each text's tokens; pairs share a row where the attention kernel takes a mask."""
    # Only eager and SDPA attention do; others (FlashAttention) would ignore it.
    if getattr(model.config, "_attn_implementation", None) not in MASKED_ATTENTION:
        rows = [ScoredRow(np.concatenate(([eod_id], ids[:-1])), ids) for ids in encoded]
        return row_logprobs(model, rows, batch_tokens, advance, workers)
    branched = [
        BranchedRow(first, second, shared_prefix(first, second))
        for first, second in zip(encoded[::2], encoded[1::2], strict=True)
    ]
    scored = branched_logprobs(model, branched, eod_id, batch_tokens, advance, workers)
    return [side for pair in scored for side in pair]


def _check_lengths(encoded: Sequence[np.ndarray], limit: int | None) -> None:
    for ids in encoded:
        if not len(ids):
            raise InputError("a side of a pair has no tokens. Leave the item out of the task.")
        if limit is not None and len(ids) > limit:
            raise InputError(
                f"a text of {len(ids)} tokens is longer than the model's context of {limit} tokens. "
                "Leave the item out of the task, or evaluate a model with a longer context."
            )
