"""Generation: seeded, within the vocabulary, equal to the slow way without a cache."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from eurolm.errors import InputError
from eurolm.scoring.generate import generate, generate_until
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


def greedy(model: Any, tokenizer: LoadedTokenizer, ids: list[int], count: int) -> str:
    """Full passes without cache or padding, up to EOD or `count` tokens."""
    start = len(ids)
    for _ in range(count):
        with torch.no_grad():
            token = int(model(input_ids=torch.tensor([ids])).logits[0, -1, : tokenizer.vocab_size].argmax())
        if token == tokenizer.eod_id:
            break
        ids = [*ids, token]
    return str(tokenizer.tokenizer.decode(ids[start:], skip_special_tokens=True)).rstrip("\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("batch_tokens", [1, 60, None])
def test_batches_write_what_each_context_gets_alone(
    model: Any, tokenizer: LoadedTokenizer, batch_tokens: int | None
) -> None:
    contexts = ["Rīga", "Tallinn on Eesti pealinn ja", "", "Viens divi trīs četri pieci seši septiņi"]
    encoded = [tokenizer.encode(text) or [tokenizer.eod_id] for text in contexts]
    expected = [greedy(model, tokenizer, ids, 12) for ids in encoded]
    shares: list[float] = []
    found = generate_until(model, tokenizer, contexts, [()] * 4, 12, batch_tokens=batch_tokens, advance=shares.append)
    assert [entry.text for entry in found] == expected
    assert len(set(expected)) == 4
    assert sum(shares) == pytest.approx(1.0)


def test_writing_ends_before_the_first_stop(model: Any, tokenizer: LoadedTokenizer) -> None:
    whole = greedy(model, tokenizer, tokenizer.encode("Rīga"), 12)
    stop, later = whole[3:5], whole[6:8]
    first, second = generate_until(model, tokenizer, ["Rīga", "Rīga"], [(later, stop), ("nekad nav",)], 12)
    assert first.text == whole[: min(whole.find(stop), whole.find(later))]
    assert first.tokens < second.tokens == 12
    assert second.text == whole


def test_a_context_loses_its_beginning_to_make_room(model: Any, tokenizer: LoadedTokenizer) -> None:
    long = "Senos laikos dzīvoja vecs vīrs. " * 60
    ids = tokenizer.encode(long)
    (found,) = generate_until(model, tokenizer, [long], [()], 10)
    assert found.truncated_tokens == len(ids) - 246 > 0
    assert found.text == greedy(model, tokenizer, ids[-246:], 10)
    with pytest.raises(InputError, match="max_new_tokens = 256 leaves no room for a prompt"):
        generate_until(model, tokenizer, ["a"], [()], 256)
    assert generate_until(model, tokenizer, [], [], 10) == []


def test_text_from_logits_that_are_not_finite_is_none(model: Any, tokenizer: LoadedTokenizer) -> None:
    broken = copy.deepcopy(model)
    broken.model.embed_tokens.weight.data[tokenizer.encode("X")[0]] = float("nan")
    bad, good = generate_until(broken, tokenizer, ["A X", "Rīga"], [()] * 2, 6)
    assert bad.text is None
    assert good.text == greedy(model, tokenizer, tokenizer.encode("Rīga"), 6)


def test_the_end_of_a_turn_ends_the_text(model: Any, tokenizer: LoadedTokenizer) -> None:
    """A token that the generation config or a stop string names, whatever it decodes to."""
    (plain,) = generate_until(model, tokenizer, ["Rīga"], [()], 12)
    ids, start = tokenizer.encode("Rīga"), len(tokenizer.encode("Rīga"))
    for _ in range(4):
        with torch.no_grad():
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1, : tokenizer.vocab_size].argmax()))
    model.generation_config.eos_token_id = [tokenizer.eod_id, ids[-1]]
    try:
        (ended,) = generate_until(model, tokenizer, ["Rīga"], [()], 12)
    finally:
        model.generation_config.eos_token_id = tokenizer.eod_id
    assert ended.tokens == ids[start:].index(ids[-1]) < plain.tokens
