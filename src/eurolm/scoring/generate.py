"""Continuations of prompts, drawn from a seeded generator: the samples of a run and `eurolm generate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from eurolm.errors import InputError
from eurolm.scoring.bits_per_byte import encode
from eurolm.scoring.loglikelihood import evaluating

if TYPE_CHECKING:
    from eurolm.tokenizer.load import LoadedTokenizer

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def generate(
    model: Any,
    tokenizer: LoadedTokenizer,
    prompts: Sequence[str],
    max_new_tokens: int,
    seed: int,
    temperature: float = 0.8,
    top_k: int = 40,
) -> list[str]:
    """The continuation of each prompt, without the prompt; stops at EOD or after `max_new_tokens`.

    `temperature` 0 takes the most probable token each time; `top_k` 0 draws from the whole vocabulary. Prompt i draws
    from its own generator of seed + i, so its text does not depend on the other prompts. A character whose last bytes
    fell beyond `max_new_tokens` is left out. Raises InputError where prompt and continuation exceed the context.
    """
    if temperature < 0 or top_k < 0:
        raise InputError(f"temperature = {temperature} and top_k = {top_k} must not be negative.")
    with evaluating(model):
        return [
            _continue(model, tokenizer, ids.tolist(), max_new_tokens, seed + index, temperature, top_k)
            for index, ids in enumerate(encode(tokenizer, prompts))
        ]


def _continue(
    model: Any,
    tokenizer: LoadedTokenizer,
    prompt: list[int],
    max_new_tokens: int,
    seed: int,
    temperature: float,
    top_k: int,
) -> str:
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is not None and 1 + len(prompt) + max_new_tokens > limit:
        raise InputError(
            f"a prompt of {len(prompt)} tokens and {max_new_tokens} new ones exceed the model's context of {limit}. "
            "Shorten the prompt or ask for fewer tokens."
        )
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    inputs, cache, drawn = torch.tensor([[tokenizer.eod_id, *prompt]], device=device), None, []
    for _ in range(max_new_tokens):
        # logits_to_keep: only the last position passes through the output head.
        output = model(input_ids=inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits = output.logits[0, -1, : tokenizer.vocab_size].float().cpu()
        token = _draw(logits, generator, temperature, top_k)
        if token == tokenizer.eod_id:
            break
        drawn.append(token)
        inputs, cache = torch.tensor([[token]], device=device), output.past_key_values
    return str(tokenizer.tokenizer.decode(drawn, skip_special_tokens=True)).rstrip(REPLACEMENT)


def _draw(logits: torch.Tensor, generator: torch.Generator, temperature: float, top_k: int) -> int:
    """One id from float32 logits [vocabulary]."""
    if temperature == 0:
        return int(logits.argmax())
    if 0 < top_k < len(logits):
        least = logits.topk(top_k).values[-1]
        logits = logits.masked_fill(logits < least, float("-inf"))
    return int(torch.multinomial(torch.softmax(logits / temperature, 0), 1, generator=generator))
