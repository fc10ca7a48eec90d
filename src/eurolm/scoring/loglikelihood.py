"""Log-probabilities of given tokens, with logits only where they are scored.

The body of the model runs once over a batch; its output head is applied to the scored positions alone, in fp32 and in
chunks, so that a large vocabulary costs memory for one chunk and not for the batch (a [32, 500, 128k] fp32 tensor
would be 8 GB). Works on any causal model of `transformers` whose logits are its output embedding times its last hidden
state, in any dtype, in training or evaluation mode; the mode is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, linear

from eurolm.errors import InputError, NumericsError
from eurolm.scoring.workers import over_batches

IGNORED = -100
"""Target that is not scored (the convention of torch's cross-entropy)."""

LOGITS_PER_CHUNK = 2**23
"""Logits held at once: 32 MB in fp32, near the size of a last-level cache (measured fastest on 2 Zen cores)."""

LEAST_POSITIONS_PER_CHUNK = 256
"""With a very large vocabulary a chunk grows beyond that, else the head's weights are re-read too often."""

# Models that bend their logits after the output embedding; applying the head alone would misjudge them.
LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "logits_scaling")


@dataclass(frozen=True)
class ScoredRow:
    """One sequence to run: int64 `inputs` and the int64 `targets` to predict after each of them (-100: not scored)."""

    inputs: np.ndarray
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


def token_logprobs(
    model: Any,
    input_ids: torch.Tensor,
    position_ids: torch.Tensor,
    targets: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Natural log-probability of each target: float32 of the shape of `targets` [rows, tokens], 0 where it is -100.

    `position_ids` restart at 0 with each document of a row; together with `attention_mask=None` and no cache that makes
    transformers mask attention between documents. A mask is bool [rows, 1, tokens, tokens], true where seen. Raises
    NumericsError for values that are not finite.
    """
    head = output_head(model)
    with evaluating(model):
        body = model.base_model(
            input_ids=input_ids, position_ids=position_ids, attention_mask=attention_mask, use_cache=False
        )
        scored = targets != IGNORED
        result = torch.zeros(targets.shape, dtype=torch.float32, device=targets.device)
        result[scored] = _head_logprobs(body.last_hidden_state[scored], head, targets[scored])
    if not bool(torch.isfinite(result).all()):
        count = int((~torch.isfinite(result)).sum())
        raise NumericsError(
            f"{count} of {int(scored.sum())} log-probabilities are not finite: the model's weights or activations "
            "hold inf or NaN. Score an earlier checkpoint, or a wider dtype."
        )
    return result


def row_logprobs(
    model: Any,
    rows: Sequence[ScoredRow],
    batch_tokens: int,
    advance: Callable[[float], None] | None = None,
    workers: int = 1,
) -> list[np.ndarray]:
    """Float32 log-probabilities of every row's targets (0 where -100), in the order of `rows`.

    Rows of like length run together, at most `batch_tokens` padded tokens at a time (one row at least), `workers`
    batches at once. Padding stands at the right, where a causal model cannot see it. `advance` is called with the
    share of all tokens just done.
    """
    device = next(model.parameters()).device
    total = max(1, sum(len(row.inputs) for row in rows))

    def score(batch: list[int]) -> np.ndarray:
        inputs, targets = _tables([rows[index] for index in batch])
        positions = torch.arange(inputs.shape[1], device=device).expand(inputs.shape)
        scores = token_logprobs(
            model, torch.from_numpy(inputs).to(device), positions, torch.from_numpy(targets).to(device)
        )
        return scores.cpu().numpy()

    results: list[np.ndarray] = [np.empty(0, np.float32)] * len(rows)
    batches = batches_by_length([len(row.inputs) for row in rows], batch_tokens)
    with evaluating(model):
        for batch, table in over_batches(score, batches, workers):
            for place, index in enumerate(batch):
                results[index] = table[place, : len(rows[index].inputs)].copy()
            if advance is not None:
                advance(sum(len(rows[index].inputs) for index in batch) / total)
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


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices grouped longest first, each group within `batch_tokens` padded tokens."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= batch_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def output_head(model: Any) -> torch.nn.Module:
    """The linear layer from hidden state to logits. Raises InputError for models that change the logits after it."""
    for name in LOGIT_CHANGES:
        if getattr(model.config, name, None) not in (None, 1, 1.0):
            raise InputError(
                f"this {model.config.model_type} model sets {name} = {getattr(model.config, name)}: its logits are not "
                "its output embedding alone, which is all eurolm's scorer applies. Score it with lm-evaluation-harness."
            )
    head: torch.nn.Module = model.get_output_embeddings()
    return head


def _head_logprobs(hidden: torch.Tensor, head: Any, targets: torch.Tensor) -> torch.Tensor:
    """Hidden states [n, width] and int64 targets [n] to float32 log-probabilities [n]."""
    size = max(LEAST_POSITIONS_PER_CHUNK, LOGITS_PER_CHUNK // head.weight.shape[0])
    parts = [
        _chunk_logprobs(hidden[start : start + size], head, targets[start : start + size])
        for start in range(0, len(targets), size)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, device=hidden.device)


def _chunk_logprobs(hidden: torch.Tensor, head: Any, targets: torch.Tensor) -> torch.Tensor:
    logits = linear(hidden, head.weight, head.bias).float()
    if hidden.dtype != torch.float32:
        # Rounding a logit of 8 to bf16 costs up to 0.03 nats. Over the vocabulary that averages out; the target's own
        # logit counts in full, so it is computed again in fp32.
        exact = (hidden.float() * head.weight[targets].float()).sum(1)
        if head.bias is not None:
            exact += head.bias[targets].float()
        logits.scatter_(1, targets[:, None], exact[:, None])
    return -cross_entropy(logits, targets, reduction="none")
