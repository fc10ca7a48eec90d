"""Log-probability of short texts as they stand, for minimal pairs: which of two sentences does the model prefer?

Each text is read as a document of its own (EOD before it). The two sides of a pair mostly begin alike; a causal model
says the same about a shared beginning, so the output head scores it once and both sides count it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eurolm.errors import InputError
from eurolm.scoring.bits_per_byte import encode
from eurolm.scoring.loglikelihood import IGNORED, ScoredRow, row_logprobs

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
) -> list[tuple[TextScore, TextScore]]:
    """Both sides of every pair, in order. `advance` is called with the share of the work just done.

    Raises InputError for a text longer than the model's declared context.
    """
    encoded = encode(tokenizer, [text for pair in pairs for text in pair])
    limit = getattr(model.config, "max_position_embeddings", None)
    rows: list[ScoredRow] = []
    shared: list[int] = []
    for first, second in zip(encoded[::2], encoded[1::2], strict=True):
        same = shared_prefix(first, second)
        shared.append(same)
        rows.append(_row(first, tokenizer.eod_id, 0, limit))
        rows.append(_row(second, tokenizer.eod_id, same, limit))
    scores = row_logprobs(model, rows, batch_tokens, advance)
    results = []
    for index, (left, right) in enumerate(pairs):
        first, second = scores[2 * index].astype(np.float64), scores[2 * index + 1].astype(np.float64)
        beginning = first[: shared[index]].sum()
        results.append(
            (
                TextScore(float(first.sum() / math.log(2)), len(left.encode()), len(first)),
                TextScore(float((beginning + second.sum()) / math.log(2)), len(right.encode()), len(second)),
            )
        )
    return results


def shared_prefix(first: np.ndarray, second: np.ndarray) -> int:
    """Number of equal ids at the beginning of both arrays."""
    length = min(len(first), len(second))
    different = np.flatnonzero(first[:length] != second[:length])
    return int(different[0]) if len(different) else length


def _row(ids: np.ndarray, eod_id: int, unscored: int, limit: int | None) -> ScoredRow:
    if limit is not None and len(ids) > limit:
        raise InputError(
            f"a text of {len(ids)} tokens is longer than the model's context of {limit} tokens. "
            "Leave the item out of the task, or evaluate a model with a longer context."
        )
    targets = ids.astype(np.int64)
    targets[:unscored] = IGNORED
    return ScoredRow(np.concatenate(([eod_id], ids[:-1])).astype(np.int64), targets)
