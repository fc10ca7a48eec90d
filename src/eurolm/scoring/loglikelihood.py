"""Log-probabilities of given tokens, with logits only where they are scored.

The body of the model runs once over a batch; its output head is applied to the scored positions alone, in fp32 and in
chunks, so that a large vocabulary costs memory for one chunk and not for the batch (a [32, 500, 128k] fp32 tensor
would be 8 GB). A position may be asked for several tokens: its logits are made once. Works on causal models of
`transformers` in any dtype, in training or evaluation mode; the mode is put back.
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

LOGITS_PER_CHUNK = {"cpu": 2**22, "cuda": 2**26}
"""Logits held at once. On a CPU 16 MB in fp32: blocks from 32 MB on are mapped and zeroed anew each time (glibc), which
cost a quarter of the time of a model 64 wide; one 512 wide loses a tenth. An accelerator likes fewer, larger
products."""

LEAST_POSITIONS_PER_CHUNK = 128
"""With a very large vocabulary a chunk grows beyond that, else the head's weights are re-read too often."""


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
    size = _positions_per_chunk(head.weight)
    logprobs, greedy = np.zeros(len(owner), np.float32), np.zeros(len(owner), bool)
    with evaluating(model):
        body = model.base_model(
            input_ids=input_ids, position_ids=position_ids, attention_mask=attention_mask, use_cache=False
        )
        hidden = body.last_hidden_state.flatten(0, 1)[torch.from_numpy(places).to(input_ids.device)]
        for start in range(0, len(places), size):
            own = slice(*np.searchsorted(owner, (start, start + size)))
            asked, targets = (
                torch.from_numpy(table).to(hidden.device) for table in (owner[own] - start, queries.targets[own])
            )
            found, best = _chunk_scores(hidden[start : start + size], head, change, asked, targets)
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


def _positions_per_chunk(weight: torch.Tensor) -> int:
    return max(LEAST_POSITIONS_PER_CHUNK, LOGITS_PER_CHUNK[weight.device.type] // weight.shape[0])


def _chunk_scores(
    hidden: torch.Tensor,
    head: Any,
    change: Callable[[torch.Tensor], torch.Tensor] | None,
    asked: torch.Tensor,
    targets: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states [n, width]; queries as (place in them, token) [q] → float32 log-probabilities and bool [q]."""
    logits = linear(hidden, head.weight, head.bias).float()
    if change is not None:
        logits = change(logits)
    own, most = logits[asked, targets], logits.amax(1)
    # In place: the logits are the largest tensor there is, and log_softmax would copy them.
    total = most + logits.sub_(most[:, None]).exp_().sum(1).log()
    greedy, total = own == most[asked], total[asked]
    if hidden.dtype == torch.float32:
        return own - total, greedy
    # Rounding a logit of 8 to bf16 costs up to 0.03 nats. Over the vocabulary that averages out; the target's own
    # logit counts in full, so it is computed again in fp32 and takes its place in the sum.
    exact = (hidden[asked].float() * head.weight[targets].float()).sum(1)
    if head.bias is not None:
        exact += head.bias[targets].float()
    if change is not None:
        exact = change(exact)
    rest = (1 - (own - total).exp()).clamp_min(0)
    return exact - torch.logaddexp(total + rest.log(), exact), greedy
