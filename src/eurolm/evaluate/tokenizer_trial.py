"""Does a vocabulary help a model? The same small model trained on each tokenizer, compared by held-out bits per byte.

What is equal: the text, byte for byte, in the same order; the pieces of it that a step sees; the number of steps;
every parameter but the embedding's; optimiser and schedule. What is not: tokens, the size of the embedding, the time.
Text is cut into rows by bytes, before any tokenizer sees it, so context is equal too. A budget in time is turned into
bytes once, from the speed of the slowest tokenizer; the bytes are recorded and give the same figures again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from eurolm.config.architecture import ModelConfig
from eurolm.console import Reporter
from eurolm.evaluate.trial_text import ROW_BYTES, Budget, TrialText, chunks, mixed
from eurolm.model.build import build_model
from eurolm.scoring.bits_per_byte import document_rows
from eurolm.scoring.loglikelihood import ScoredRow, output_head, row_logprobs
from eurolm.tokenizer.scoring.candidates import Candidate
from eurolm.tokenizer.scoring.intervals import compared, resample

EQUAL = "text in bytes and order, steps, context in bytes, parameters outside the embedding, optimiser and schedule"
ROWS = 8
LEAST_STEPS, TIMED_STEPS = 10, 4
PEAK_RATE, WARMUP_SHARE, CLIP = 3e-3, 0.1, 1.0
MODEL = ModelConfig(hidden_size=128, layers=2, attention_heads=2, key_value_heads=2, intermediate_size=384,
                    max_position_tokens=2 * ROW_BYTES)  # fmt: skip


def run_trial(
    candidates: Sequence[Candidate], texts: dict[str, TrialText], budget: Budget, reporter: Reporter, seed: int = 1
) -> dict[str, Any]:
    """Train on each tokenizer in turn and score; the `trial` part of the scores as plain JSON values."""
    rows = mixed({code: chunks(text.training) for code, text in texts.items()}, seed)
    steps = _steps(budget, rows, candidates)
    order = [rows[place % len(rows)] for place in range(steps * ROWS)]
    size = sum(len(row.encode()) for row in order)
    reporter.say(f"Training on {size / 1000:,.0f} kB of text each; the same again: --train {size / 1000:.0f}kB")
    facts: dict[str, Any] = {}
    bits: list[dict[str, np.ndarray]] = []
    with reporter.task("train", len(candidates) * steps, "steps") as task:
        for candidate in candidates:
            started = time.process_time()
            model, tokens = train(candidate, order, task.advance)
            cpu_s = time.process_time() - started
            bits.append({code: _document_bits(model, candidate, text.heldout) for code, text in texts.items()})
            embedding = model.get_input_embeddings().weight.numel()
            body = sum(parameter.numel() for parameter in model.parameters()) - embedding
            facts[candidate.name] = {
                "tokens": tokens, "body_parameters": body, "embedding_parameters": embedding, "cpu_s": round(cpu_s, 1),
            }  # fmt: skip
    return {
        "equal": EQUAL,
        "bytes": size,
        "steps": steps,
        "epochs": len(order) / len(rows),
        "text_sha256": hashlib.sha256("\0".join(order).encode()).hexdigest(),
        "row_bytes": ROW_BYTES,
        "rows_per_step": ROWS,
        "model": MODEL.output_fields(),
        "tokenizers": facts,
        "heldout_bytes": {code: sum(len(one.encode()) for one in text.heldout) for code, text in texts.items()},
        "bits_per_byte": {
            code: _figures(candidates, text, [own[code] for own in bits]) for code, text in texts.items()
        },
    }


def train(candidate: Candidate, order: Sequence[str], advance: Any = None) -> tuple[Any, int]:
    """A model trained on the rows in that order, `ROWS` per step, and the tokens it saw. EOD is one id more than the
    tokenizer's own, so that all tokenizers are treated alike."""
    model: Any = build_model(MODEL, candidate.vocab_size + 1, candidate.vocab_size)
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.95), weight_decay=0.1)
    steps, seen = len(order) // ROWS, 0
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * min((step + 1) / (WARMUP_SHARE * steps), 1.1 - step / steps, 1.0)
        encoded = candidate.encode_batch(order[step * ROWS : (step + 1) * ROWS])
        inputs, targets = _table([_row(ids, candidate) for ids in encoded if ids])
        hidden = model.base_model(input_ids=inputs, use_cache=False).last_hidden_state
        wanted = targets >= 0
        loss = cross_entropy(output_head(model)(hidden[wanted]), targets[wanted])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        seen += int(wanted.sum())
        if advance is not None:
            advance(1)
    return model, seen


def _steps(budget: Budget, rows: Sequence[str], candidates: Sequence[Candidate]) -> int:
    """Steps that the budget pays for; at least `LEAST_STEPS`."""
    step_bytes = ROWS * sum(len(row.encode()) for row in rows) / len(rows)
    if budget.in_bytes:
        return max(LEAST_STEPS, round(budget.amount / step_bytes))
    slowest = 0.0
    for candidate in candidates:
        timed = [rows[place % len(rows)] for place in range(TIMED_STEPS * ROWS)]
        train(candidate, timed[:ROWS])
        started = time.perf_counter()
        train(candidate, timed)
        slowest = max(slowest, (time.perf_counter() - started) / TIMED_STEPS)
    return max(LEAST_STEPS, int(budget.amount / slowest))


def _row(ids: Sequence[int], candidate: Candidate) -> ScoredRow:
    return document_rows(np.array(ids, np.int64), candidate.vocab_size, len(ids), len(ids))[0]


def _table(rows: Sequence[ScoredRow]) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets [rows, longest]; a target of padding is -100."""
    width = max(len(row.inputs) for row in rows)
    inputs = np.stack([np.pad(row.inputs, (0, width - len(row.inputs))) for row in rows])
    targets = np.stack([np.pad(row.targets, (0, width - len(row.targets)), constant_values=-100) for row in rows])
    return torch.from_numpy(inputs), torch.from_numpy(targets)


def _document_bits(model: Any, candidate: Candidate, texts: Sequence[str]) -> np.ndarray:
    """Bits of each document, read in the same pieces as in training."""
    pieces = [(place, piece) for place, text in enumerate(texts) for piece in chunks([text])]
    encoded = candidate.encode_batch([piece for _, piece in pieces])
    whole = [(place, _row(ids, candidate)) for (place, _), ids in zip(pieces, encoded, strict=True) if ids]
    bits = np.zeros(len(texts))
    for (place, _), scores in zip(whole, row_logprobs(model, [row for _, row in whole], ROWS * ROW_BYTES), strict=True):
        bits[place] -= scores.sum(dtype=np.float64) / np.log(2)
    return bits


def _figures(candidates: Sequence[Candidate], text: TrialText, bits: Sequence[np.ndarray]) -> dict[str, Any]:
    columns = {f"bits {number}": own for number, own in enumerate(bits)}
    columns["bytes"] = np.array([len(one.encode()) for one in text.heldout], np.float64)
    sums = resample(columns, text.groups)
    figures = compared([sums.ratio(f"bits {number}", "bytes") for number in range(len(bits))])
    return {candidate.name: dataclasses.asdict(figure) for candidate, figure in zip(candidates, figures, strict=True)}
