"""Log-probabilities of given tokens, with logits only where they are scored.

The body of the model runs once over a batch; its output head is applied to the scored positions alone, in fp32 and in
tiles of positions and vocabulary, so that a large vocabulary costs memory for one tile and not for the batch (a
[32, 500, 128k] fp32 tensor would be 8 GB). A position may be asked for several tokens: its logits are made once. Works
on causal models of `transformers` in any dtype, in training or evaluation mode; the mode is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import linear

from eurolm.errors import NumericsError
from eurolm.scoring.batches import batches_by_length, over_batches
from eurolm.scoring.ranks import ALONE, Ranks

IGNORED = -100
"""Target that is not scored (the convention of torch's cross-entropy)."""

TILE = {"cpu": (256, 1024), "cuda": (2048, 32_768)}
"""Positions and vocabulary entries whose logits are held at once. On a CPU 1 MB in fp32 stays in a core's cache while
it is reduced, which halves the time of the head 64 wide; an accelerator likes fewer, larger products."""


@dataclass(frozen=True)
class ScoredRow:
    """One sequence to run: int64 `inputs` and the int64 `targets` to predict after each of them (-100: not scored)."""

    inputs: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Queries:
    """What is asked of a batch [rows, width]: the token `targets[i]` after place `flat[i]` = row × width + column.

    int64 arrays of one length; `flat` ascends, and repeats where one place is asked for several tokens.
    """

    flat: np.ndarray
    targets: np.ndarray


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each module's training flag is restored."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def score_queries(
    model: Any,
    input_ids: torch.Tensor,
    position_ids: torch.Tensor,
    queries: Queries,
    attention_mask: torch.Tensor | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Natural log-probability (float32) of each query, and whether its token is the most probable one (bool).

    `position_ids` restart at 0 with each document of a row; together with `attention_mask=None` and no cache that makes
    transformers mask attention between documents. A mask is bool [rows, 1, width, width], true where seen. Where
    logits hold inf or NaN the log-probability is NaN.
    """
    places, owner = np.unique(queries.flat, return_inverse=True)
    head: Any = output_head(model)
    change = logit_change(model.config)
    size, _ = TILE[head.weight.device.type]
    logprobs, greedy = np.zeros(len(owner), np.float32), np.zeros(len(owner), bool)
    with evaluating(model):
        body = model.base_model(
            input_ids=input_ids, position_ids=position_ids, attention_mask=attention_mask, use_cache=False
        )
        hidden = body.last_hidden_state.flatten(0, 1)[torch.from_numpy(places).to(input_ids.device)]
        for start in range(0, len(places), size):
            own = slice(*np.searchsorted(owner, (start, start + size)))
            found, best = _scores(hidden[start : start + size], head, change, owner[own] - start, queries.targets[own])
            logprobs[own], greedy[own] = found.cpu().numpy(), best.cpu().numpy()
    return logprobs, greedy


def token_logprobs(
    model: Any,
    input_ids: torch.Tensor,
    position_ids: torch.Tensor,
    targets: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
) -> np.ndarray:
    """Log-probability of each target: float32 of the shape of `targets` [rows, tokens], 0 where it is -100.

    The rest as for `score_queries`, but values that are not finite raise NumericsError.
    """
    wanted = targets.cpu().numpy()
    flat = np.flatnonzero(wanted != IGNORED)
    scores, _ = score_queries(model, input_ids, position_ids, Queries(flat, wanted.reshape(-1)[flat]), attention_mask)
    if not np.isfinite(scores).all():
        raise NumericsError(
            f"{int((~np.isfinite(scores)).sum())} of {len(scores)} log-probabilities are not finite: the model's "
            "weights or activations hold inf or NaN. Score an earlier checkpoint, or a wider dtype."
        )
    result = np.zeros(wanted.size, np.float32)
    result[flat] = scores
    return result.reshape(wanted.shape)


def row_logprobs(
    model: Any,
    rows: Sequence[ScoredRow],
    batch_tokens: int,
    advance: Callable[[float], None] | None = None,
    workers: int = 1,
    ranks: Ranks = ALONE,
) -> list[np.ndarray]:
    """Float32 log-probabilities of every row's targets (0 where -100), in the order of `rows`, on every rank.

    Rows of like length run together, at most `batch_tokens` padded tokens at a time (one row at least), `workers`
    batches at once on each rank. Padding stands at the right, where a causal model cannot see it. `advance` is called
    with the share of all tokens just done.
    """
    device = next(model.parameters()).device
    lengths = [len(row.inputs) for row in rows]

    def score(batch: list[int]) -> np.ndarray:
        inputs, targets = _tables([rows[index] for index in batch])
        positions = torch.arange(inputs.shape[1], device=device).expand(inputs.shape)
        return token_logprobs(model, torch.from_numpy(inputs).to(device), positions, torch.from_numpy(targets))

    results: list[np.ndarray] = [np.empty(0, np.float32)] * len(rows)
    with evaluating(model):
        batches = batches_by_length(lengths, batch_tokens)
        for batch, table in over_batches(score, batches, lengths, workers, ranks, advance):
            for place, index in enumerate(batch):
                results[index] = table[place, : lengths[index]].copy()
    return results


def _tables(rows: Sequence[ScoredRow]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets [rows, longest], padded at the right."""
    width = max(len(row.inputs) for row in rows)
    inputs = np.zeros((len(rows), width), np.int64)
    targets = np.full((len(rows), width), IGNORED, np.int64)
    for place, row in enumerate(rows):
        inputs[place, : len(row.inputs)] = row.inputs
        targets[place, : len(row.targets)] = row.targets
    return inputs, targets


def output_head(model: Any) -> torch.nn.Module:
    """The linear layer from hidden state to logits."""
    head: torch.nn.Module = model.get_output_embeddings()
    return head


def logit_change(config: Any) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """What a model does to its logits after the output head; null for nothing.

    Gemma 2 caps them, Cohere multiplies, Granite divides (their modeling files in transformers).
    """
    cap = getattr(config, "final_logit_softcapping", None)
    factor = getattr(config, "logit_scale", None) or 1.0
    factor /= getattr(config, "logits_scaling", None) or 1.0
    if cap is None:
        return None if factor == 1.0 else lambda logits: logits * factor
    return lambda logits: torch.tanh(logits * (factor / cap)) * cap


def _scores(
    hidden: torch.Tensor,
    head: Any,
    change: Callable[[torch.Tensor], torch.Tensor] | None,
    asked: np.ndarray,
    targets: np.ndarray,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states [n, width]; queries as (place in them, token) int64 [q] → log-probabilities (float32), bool [q]."""
    vocabulary, (_, size) = head.weight.shape[0], TILE[hidden.device.type]
    order = np.argsort(targets, kind="stable")
    edges = np.searchsorted(targets[order], np.arange(0, vocabulary + size, size))
    places, tokens, back = (
        torch.from_numpy(table).to(hidden.device) for table in (asked[order], targets[order], np.argsort(order))
    )
    most, sums, own = [], [], []
    for number, start in enumerate(range(0, vocabulary, size)):
        logits = _logits(hidden, head, change, slice(start, start + size))
        here = slice(edges[number], edges[number + 1])
        own.append(logits[places[here], tokens[here] - start])
        # A tile of nothing but -inf counts for nothing.
        most.append(logits.amax(1).clamp_min(torch.finfo(torch.float32).min))
        # In place: log_softmax would copy the tile.
        sums.append(logits.sub_(most[-1][:, None]).exp_().sum(1))
    peaks, mine = torch.stack(most), torch.cat(own)[back]
    owner = places[back]
    total = torch.logsumexp(peaks + torch.stack(sums).log(), 0)[owner]
    greedy = mine == peaks.amax(0)[owner]
    if hidden.dtype == torch.float32:
        return mine - total, greedy
    # Rounding a logit of 8 to bf16 costs up to 0.03 nats. Over the vocabulary that averages out; the target's own
    # logit counts in full, so it is computed again in fp32 and takes its place in the sum.
    exact = _exact(hidden[owner], head, change, tokens[back])
    rest = (1 - (mine - total).exp()).clamp_min(0)
    return exact - torch.logaddexp(total + rest.log(), exact), greedy


def _logits(
    hidden: torch.Tensor, head: Any, change: Callable[[torch.Tensor], torch.Tensor] | None, tokens: slice
) -> torch.Tensor:
    """Float32 logits [n, tokens] of a part of the vocabulary."""
    bias = None if head.bias is None else head.bias[tokens]
    logits = linear(hidden, head.weight[tokens], bias).float()
    return logits if change is None else change(logits)


def _exact(
    hidden: torch.Tensor, head: Any, change: Callable[[torch.Tensor], torch.Tensor] | None, tokens: torch.Tensor
) -> torch.Tensor:
    """Logit of one token per hidden state [q, width], computed in fp32."""
    exact = (hidden.float() * head.weight[tokens].float()).sum(1)
    if head.bias is not None:
        exact += head.bias[tokens].float()
    return exact if change is None else change(exact)
