"""Generation: seeded, within the vocabulary, equal to the slow way without a cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from eurolm.errors import InputError
from eurolm.scoring.generate import generate
from eurolm.tokenizer.load import LoadedTokenizer

PROMPTS = ["Latvijas Republikas", "Eesti Vabariigi", ""]


def test_same_seed_same_text_whatever_the_global_generator_holds(model: Any, tokenizer: LoadedTokenizer) -> None:
    torch.manual_seed(1)
    first = generate(model, tokenizer, PROMPTS, 12, seed=3)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert generate(model, tokenizer, PROMPTS, 12, seed=3) == first
    assert torch.equal(state, torch.get_rng_state())
    assert generate(model, tokenizer, PROMPTS, 12, seed=4) != first
    assert all(first)


def test_a_prompt_does_not_depend_on_the_others(model: Any, tokenizer: LoadedTokenizer) -> None:
    alone = generate(model, tokenizer, PROMPTS[1:2], 12, seed=4)
    assert generate(model, tokenizer, PROMPTS, 12, seed=3)[1] == alone[0]


def test_temperature_zero_is_the_argmax_of_full_passes(model: Any, tokenizer: LoadedTokenizer) -> None:
    ids = [tokenizer.eod_id, *tokenizer.encode(PROMPTS[0])]
    start = len(ids)
    for _ in range(10):
        with torch.no_grad():
            token = int(model(input_ids=torch.tensor([ids])).logits[0, -1, : tokenizer.vocab_size].argmax())
        if token == tokenizer.eod_id:
            break
        ids.append(token)
    (text,) = generate(model, tokenizer, PROMPTS[:1], 10, seed=1, temperature=0)
    assert text == tokenizer.tokenizer.decode(ids[start:], skip_special_tokens=True).rstrip("\N{REPLACEMENT CHARACTER}")


def test_top_k_of_one_is_the_argmax(model: Any, tokenizer: LoadedTokenizer) -> None:
    greedy = generate(model, tokenizer, PROMPTS, 8, seed=1, temperature=0)
    assert generate(model, tokenizer, PROMPTS, 8, seed=9, temperature=2.0, top_k=1) == greedy


def test_stops_at_eod(model: Any, tokenizer: LoadedTokenizer) -> None:
    head = model.get_output_embeddings().weight
    kept = head.detach().clone()
    try:
        head.data.zero_()
        # All logits equal: the argmax is the first id, which is EOD.
        assert tokenizer.eod_id == 0
        assert generate(model, tokenizer, PROMPTS, 8, seed=1, temperature=0) == ["", "", ""]
    finally:
        head.data.copy_(kept)


def test_rows_beyond_the_vocabulary_are_never_drawn(model: Any, tokenizer: LoadedTokenizer) -> None:
    smaller = LoadedTokenizer(tokenizer.tokenizer, tokenizer.eod_id, 600, tokenizer.sha256)
    text = "".join(generate(model, smaller, ["Rīga"] * 4, 30, seed=1, temperature=5.0, top_k=0))
    known = {tokenizer.tokenizer.decode([token]) for token in range(600)}
    assert text
    assert max(len(piece) for piece in known) > 0
    assert set(text) - {"\N{REPLACEMENT CHARACTER}"} <= set("".join(known)) | {chr(code) for code in range(0x80, 0x800)}


def test_longer_than_the_context_is_refused(model: Any, tokenizer: LoadedTokenizer) -> None:
    with pytest.raises(InputError, match="exceed the model's context of 256"):
        generate(model, tokenizer, ["ļoti " * 200], 100, seed=1)
