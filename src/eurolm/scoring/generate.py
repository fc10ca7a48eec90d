"""Text that a model writes: drawn from a seeded generator for people to read, greedy in batches for tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from eurolm.errors import InputError, NumericsError
from eurolm.scoring.batch_size import automatic_batch_tokens
from eurolm.scoring.batches import batches_by_length, over_batches
from eurolm.scoring.bits_per_byte import encode
from eurolm.scoring.choices import Generated
from eurolm.scoring.encoding import Opening, context_limit, encode_contexts
from eurolm.scoring.loglikelihood import evaluating
from eurolm.scoring.ranks import ALONE, Ranks

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
    opens: Opening | None = None,
) -> list[str]:
    """The continuation of each prompt, without the prompt; stops at EOD or after `max_new_tokens`.

    A prompt opens with what the tokenizer's rule `opens` puts before a context, with EOD where that is nothing: the
    beginning of a document. `temperature` 0 takes the most probable token each time; `top_k` 0 draws from the whole
    vocabulary. Prompt i draws from its own generator of seed + i, so its text does not depend on the other prompts. A
    character whose last bytes fell beyond `max_new_tokens` is left out. Raises InputError where prompt and continuation
    exceed the context.
    """
    if temperature < 0 or top_k < 0:
        raise InputError(f"temperature = {temperature} and top_k = {top_k} must not be negative.")
    with evaluating(model):
        before = (opens.before_context if opens else ()) or (tokenizer.eod_id,)
        return [
            _continue(model, tokenizer, [*before, *ids.tolist()], max_new_tokens, seed + index, temperature, top_k)
            for index, ids in enumerate(encode(tokenizer, prompts))
        ]


def generate_until(
    model: Any,
    tokenizer: LoadedTokenizer,
    contexts: Sequence[str],
    stops: Sequence[Sequence[str]],
    max_new_tokens: int,
    *,
    batch_tokens: int | None = None,
    opens: Opening | None = None,
    special: bool = False,
    workers: int = 1,
    ranks: Ranks = ALONE,
    advance: Callable[[float], None] | None = None,
) -> list[Generated]:
    """The most probable text after each context, token by token, up to the first of its `stops`, an end-of-text token
    or `max_new_tokens`; in order, on every rank.

    Contexts of like length run together, padded at the left; a row leaves the batch when it ends. A context that does
    not fit beside the new tokens loses its beginning. The other arguments are those of `score_continuations`. Raises
    InputError where the new tokens alone exceed the model's context.
    """
    if not contexts:
        return []
    limit = context_limit(model.config)
    if limit is not None and max_new_tokens >= limit:
        raise InputError(
            f"max_new_tokens = {max_new_tokens} leaves no room for a prompt in the model's context of {limit} tokens. "
            "Ask for fewer new tokens."
        )
    room = None if limit is None else limit - max_new_tokens
    encoded, cut = encode_contexts(tokenizer, contexts, opens or Opening((), tokenizer.eod_id), special, room)
    lengths = [len(ids) + max_new_tokens for ids in encoded]
    if batch_tokens is None:
        batch_tokens = automatic_batch_tokens(model, max(lengths), ranks)
    results: list[Generated | None] = [None] * len(contexts)
    with evaluating(model):

        def write(batch: list[int]) -> list[Writing]:
            rows = [Writing(encoded[index], tuple(stops[index]), cut[index]) for index in batch]
            return _write(model, tokenizer, rows, max_new_tokens)

        batches = batches_by_length(lengths, batch_tokens)
        for batch, rows in over_batches(write, batches, lengths, workers, ranks, advance):
            for index, row in zip(batch, rows, strict=True):
                results[index] = Generated(row.text, len(row.tokens), row.cut)
    return [result for result in results if result is not None]


@dataclass
class Writing:
    """One context while its text is written."""

    context: np.ndarray
    stops: tuple[str, ...]
    cut: int
    tokens: list[int] = field(default_factory=list)
    text: str | None = ""

    def take(self, token: int, tokenizer: LoadedTokenizer, ends: frozenset[int]) -> bool:
        """Add a token to the text; false where that ends it."""
        if token in ends or any(token == tokenizer.tokenizer.token_to_id(stop) for stop in self.stops):
            return False
        self.tokens.append(token)
        text = str(tokenizer.tokenizer.decode(self.tokens, skip_special_tokens=True)).rstrip(REPLACEMENT)
        found = [place for stop in self.stops if stop and (place := text.find(stop)) >= 0]
        self.text = text[: min(found)] if found else text
        return not found


def _write(model: Any, tokenizer: LoadedTokenizer, rows: list[Writing], max_new_tokens: int) -> list[Writing]:
    """Write the texts of one batch."""
    device = next(model.parameters()).device
    ends = _end_ids(model, tokenizer)
    width = max(len(row.context) for row in rows)
    inputs = torch.tensor(np.stack([np.pad(row.context, (width - len(row.context), 0)) for row in rows]), device=device)
    lengths = torch.tensor([len(row.context) for row in rows], device=device)
    seen = torch.arange(width, device=device)[None] >= width - lengths[:, None]
    positions = (seen.cumsum(1) - 1).clamp_min(0)
    active, cache = list(rows), None
    for _ in range(max_new_tokens):
        output = model(
            input_ids=inputs, attention_mask=seen.long(), position_ids=positions, past_key_values=cache,
            use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        logits, cache = output.logits[:, -1, : tokenizer.vocab_size].float(), output.past_key_values
        finite, best = logits.isfinite().all(1).tolist(), logits.argmax(1)
        going = []
        for place, (row, token) in enumerate(zip(active, best.tolist(), strict=True)):
            if not finite[place]:
                row.text = None
            elif row.take(token, tokenizer, ends):
                going.append(place)
        if not going:
            break
        kept = torch.tensor(going, device=device)
        if len(going) < len(active):
            cache.batch_select_indices(kept)
            active = [active[place] for place in going]
        inputs, positions = best[kept, None], positions[kept, -1:] + 1
        seen = torch.nn.functional.pad(seen[kept], (0, 1), value=True)
    return rows


def _end_ids(model: Any, tokenizer: LoadedTokenizer) -> frozenset[int]:
    """EOD and whatever else the model's generation config says ends a text (the end of a turn, in chat models)."""
    known = getattr(model.generation_config, "eos_token_id", None)
    more = known if isinstance(known, list) else [known] if known is not None else []
    return frozenset({tokenizer.eod_id, *more})


def _continue(
    model: Any,
    tokenizer: LoadedTokenizer,
    prompt: list[int],
    max_new_tokens: int,
    seed: int,
    temperature: float,
    top_k: int,
) -> str:
    limit = context_limit(model.config)
    if limit is not None and len(prompt) + max_new_tokens > limit:
        raise InputError(
            f"a prompt of {len(prompt)} tokens and {max_new_tokens} new ones exceed the model's context of {limit}. "
            "Shorten the prompt or ask for fewer tokens."
        )
    generator = torch.Generator().manual_seed(seed)
    device, ends = next(model.parameters()).device, _end_ids(model, tokenizer)
    inputs, cache, drawn = torch.tensor([prompt], device=device), None, []
    for _ in range(max_new_tokens):
        # logits_to_keep: only the last position passes through the output head.
        output = model(input_ids=inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits = output.logits[0, -1, : tokenizer.vocab_size].float().cpu()
        if not logits.isfinite().all():
            raise NumericsError(
                "the model's logits are not finite, so no text follows from them: its weights are broken."
            )
        token = _draw(logits, generator, temperature, top_k)
        if token in ends:
            break
        drawn.append(token)
        inputs, cache = torch.tensor([[token]], device=device), output.past_key_values
    # Together with the prompt: by itself a text of SentencePiece loses the space that it begins with.
    texts = ([*prompt, *drawn], prompt)
    whole, known = (str(tokenizer.tokenizer.decode(ids, skip_special_tokens=True)) for ids in texts)
    return whole[len(known) :].rstrip(REPLACEMENT)


def _draw(logits: torch.Tensor, generator: torch.Generator, temperature: float, top_k: int) -> int:
    """One id from float32 logits [vocabulary]."""
    if temperature == 0:
        return int(logits.argmax())
    if 0 < top_k < len(logits):
        least = logits.topk(top_k).values[-1]
        logits = logits.masked_fill(logits < least, float("-inf"))
    return int(torch.multinomial(torch.softmax(logits / temperature, 0), 1, generator=generator))
