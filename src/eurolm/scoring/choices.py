"""What a model makes of continuations of contexts: requests, scores, and scores that are not numbers.

Conventions are lm-evaluation-harness's (scoring/encoding.py), so that the same weights and items give the same scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eurolm.scoring.batch_size import automatic_batch_tokens
from eurolm.scoring.encoding import Opening, context_limit, encode_requests
from eurolm.scoring.ranks import ALONE, Ranks
from eurolm.scoring.traits import examine
from eurolm.scoring.trees import TokenText, single_rows, tree_rows, tree_scores

if TYPE_CHECKING:
    from eurolm.tokenizer.load import LoadedTokenizer


@dataclass(frozen=True)
class Continuation:
    """A text to score after a context; an empty context means a document of its own."""

    context: str
    text: str


@dataclass(frozen=True)
class ContinuationScore:
    """What a model gives one continuation."""

    log2_probability: float
    """Summed over the continuation's tokens."""
    tokens: int
    bytes: int
    """UTF-8 bytes of the continuation's text as given."""
    greedy: bool
    """Every token is the model's most probable one."""
    truncated_tokens: int
    """Tokens cut off the context's left because the model's context is shorter."""


@dataclass(frozen=True)
class NonFiniteScore:
    """A continuation whose logits hold inf or NaN: it is counted and has no score."""

    tokens: int
    bytes: int
    truncated_tokens: int


@dataclass(frozen=True)
class Generated:
    """What a model wrote after a context, up to the first stop string or end-of-document token."""

    text: str | None
    """None where logits were not finite: counted, never judged as an answer."""
    tokens: int
    truncated_tokens: int
    """Tokens cut off the context's left so that it and the new tokens fit."""


Score = ContinuationScore | NonFiniteScore


def score_continuations(
    model: Any,
    tokenizer: LoadedTokenizer,
    requests: Sequence[Continuation],
    *,
    batch_tokens: int | None = None,
    opens: Opening | None = None,
    special: bool = False,
    workers: int = 1,
    ranks: Ranks = ALONE,
    advance: Callable[[float], None] | None = None,
) -> list[Score]:
    """The score of each request, in order, on every rank; what requests have in common runs through the model once.

    `batch_tokens`: padded tokens per forward pass; null finds a size, which depends on the device. `opens`: what stands
    before a text (null: EOD in place of an empty context, else nothing). `special` reads special tokens in the text as
    such, for chat templates. `workers` batches run at once on each rank. `advance` is called with the share of the work
    just done.

    Raises InputError for a continuation without tokens or longer than the model's context, and for a model whose logits
    are not those of its output head.
    """
    if not requests:
        return []
    traits = examine(model)
    limit = context_limit(model.config)
    texts, cut = encode_requests(tokenizer, requests, opens or Opening((), tokenizer.eod_id), special, limit)
    longest = max(len(text.inputs) for text in texts)
    if batch_tokens is None:
        batch_tokens = automatic_batch_tokens(model, longest, ranks)
    branching = min(longest, traits.window or longest) if traits.masks else 0
    rows = tree_rows(texts, model.config.hidden_size, branching)
    scores = tree_scores(model, texts, rows, batch_tokens, advance, workers, ranks)
    # A masked NaN is still NaN: in one row a text that breaks the model takes its neighbours along. Those are asked
    # again by themselves, so that as many are counted as there are.
    doubtful = [index for row in rows if len(row.texts) > 1 for index in row.texts if not _finite(scores[index][0])]
    if doubtful:
        apart = [texts[index] for index in doubtful]
        again = tree_scores(model, apart, single_rows(apart), batch_tokens, None, workers, ranks)
        for index, found in zip(doubtful, again, strict=True):
            scores[index] = found
    return [
        _score(request, text, lost, *found)
        for request, text, lost, found in zip(requests, texts, cut, scores, strict=True)
    ]


def _score(request: Continuation, text: TokenText, lost: int, logprobs: np.ndarray, greedy: np.ndarray) -> Score:
    size = len(request.text.encode())
    if not _finite(logprobs):
        return NonFiniteScore(text.scored, size, lost)
    bits = float(logprobs.sum(dtype=np.float64) / math.log(2))
    return ContinuationScore(bits, text.scored, size, bool(greedy.all()), lost)


def _finite(logprobs: np.ndarray) -> bool:
    return bool(np.isfinite(logprobs).all())
