"""Bits per byte of documents: how many bits a model spends on each UTF-8 byte of a text it has not seen.

The policy, recorded with every result: the text's tokens follow one token that opens a document, EOD as in eurolm's
training unless the caller names the BOS of another model; a document longer than the window is read in windows that
start `stride` tokens apart, positions from 0 in each, and every token is scored exactly once, in the first window that
holds it. So no token after the first window has less than window − stride tokens of context. EOD at the end is not
scored: it has no bytes. Independent of batch size and of the order of documents.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eurolm.errors import ConfigError
from eurolm.scoring.loglikelihood import IGNORED, ScoredRow, row_logprobs
from eurolm.scoring.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from eurolm.tokenizer.load import LoadedTokenizer

BOS_POLICY = (
    "before the text's first token EOD, as in training; in tasks the tokenizer's BOS, EOD where it has none; "
    "not repeated in later windows; EOD after the text not scored"
)


@dataclass(frozen=True)
class DocumentScore:
    """What one document cost: `bits` is −log2 of its probability."""

    bits: float
    bytes: int
    tokens: int


def score_documents(
    model: Any,
    tokenizer: LoadedTokenizer,
    texts: Sequence[str],
    window: int,
    stride: int,
    batch_tokens: int,
    advance: Callable[[float], None] | None = None,
    workers: int = 1,
    ranks: Ranks = ALONE,
    first: int | None = None,
) -> list[DocumentScore]:
    """Score each text under `model` (any dtype and device), in the order given.

    `first` is the id before a text, EOD where null; `window` and `stride` in tokens, `batch_tokens` padded tokens per
    forward pass, `workers` passes at once on each of `ranks`, which all get all scores. `advance` is called with the
    share of the work just done. Raises ConfigError unless 1 ≤ stride ≤ window, NumericsError for values that are not
    finite.
    """
    encoded = encode(tokenizer, texts)
    rows: list[ScoredRow] = []
    owners: list[int] = []
    before = tokenizer.eod_id if first is None else first
    for owner, ids in enumerate(encoded):
        for row in document_rows(ids, before, window, stride):
            rows.append(row)
            owners.append(owner)
    bits = np.zeros(len(texts), np.float64)
    for owner, scores in zip(owners, row_logprobs(model, rows, batch_tokens, advance, workers, ranks), strict=True):
        bits[owner] -= scores.sum(dtype=np.float64) / math.log(2)
    return [
        DocumentScore(float(cost), len(text.encode()), len(ids))
        for cost, text, ids in zip(bits, texts, encoded, strict=True)
    ]


def bits_per_byte(scores: Iterable[DocumentScore]) -> float:
    """Bits of all documents over bytes of all documents; NaN when there are no bytes."""
    scores = list(scores)
    size = sum(score.bytes for score in scores)
    return math.fsum(score.bits for score in scores) / size if size else math.nan


def encode(tokenizer: LoadedTokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """Token ids (int64) of each text, without special tokens."""
    encodings = tokenizer.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(encoding.ids, np.int64) for encoding in encodings]


def document_rows(ids: np.ndarray, first: int, window: int, stride: int) -> list[ScoredRow]:
    """The windows of one document after the id `first`; their targets that are not -100 are its tokens, each once."""
    if not 1 <= stride <= window:
        raise ConfigError(
            f"evaluate.stride_tokens = {stride} must lie between 1 and the window of {window} tokens "
            "(evaluate.context_tokens). Half of the window is usual."
        )
    inputs = np.concatenate(([first], ids[:-1])).astype(np.int64)
    rows: list[ScoredRow] = []
    done = 0
    for start in range(0, len(ids), stride):
        end = min(start + window, len(ids))
        targets = ids[start:end].astype(np.int64)
        targets[: done - start] = IGNORED
        rows.append(ScoredRow(inputs[start:end], targets))
        done = end
        if end == len(ids):
            break
    return rows
