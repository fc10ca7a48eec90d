"""What opens a text: the tokenizer's own token, once, wherever a model reads; neither missing nor doubled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.scoring.foreign import BOS_ID, llama_tokenizer
from tests.tokens.small_corpus import corpus_texts
from tokenizers import Tokenizer

from eurolm.scoring.bits_per_byte import score_documents
from eurolm.scoring.choices import Continuation, score_continuations
from eurolm.scoring.encoding import Opening, encode_requests, opening
from eurolm.scoring.generate import generate, generate_until
from eurolm.tokenizer.load import LoadedTokenizer, load

TEXT = "Rīgas pilsētas dome"


@dataclass(frozen=True)
class Case:
    """A tokenizer directory and the token that opens texts there."""

    directory: Path
    tokenizer: LoadedTokenizer
    first: int
    written: str

    @property
    def opens(self) -> Opening:
        return opening(self.directory, self.tokenizer)


@pytest.fixture(scope="module", params=["own", "llama"])
def case(request: pytest.FixtureRequest, corpus: Path, tokenizer_dir: Path, tmp_path_factory: Any) -> Case:
    if request.param == "own":
        return Case(tokenizer_dir, load(tokenizer_dir), 0, "<|endoftext|>")
    place = llama_tokenizer(tmp_path_factory.mktemp("llama"), corpus_texts(corpus).values())
    return Case(place, load(place), BOS_ID, "<s>")


@contextmanager
def reading(model: Any) -> Iterator[list[list[int]]]:
    """The rows of ids that run through the model, in order."""
    seen: list[list[int]] = []
    hook = model.get_input_embeddings().register_forward_pre_hook(lambda _, inputs: seen.extend(inputs[0].tolist()))
    yield seen
    hook.remove()


def test_whoever_loads_the_directory_gets_the_same_opening(case: Case) -> None:
    from transformers import AutoTokenizer

    plain = case.tokenizer.encode(TEXT)
    assert case.first not in plain
    auto = AutoTokenizer.from_pretrained(str(case.directory))
    assert auto(TEXT)["input_ids"] == [case.first, *plain]
    assert auto(TEXT, add_special_tokens=False)["input_ids"] == plain
    assert auto.bos_token_id == case.first
    assert case.opens == Opening((case.first,), case.first, case.written)


def test_our_tokenizer_json_says_it_by_itself_and_its_config_agrees(tokenizer_dir: Path) -> None:
    made = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
    plain = made.encode(TEXT, add_special_tokens=False).ids
    assert made.encode(TEXT).ids == [0, *plain]
    assert made.encode(TEXT, TEXT).ids == [0, *plain, 0, *plain]
    assert made.decode(made.encode(TEXT).ids) == TEXT
    config = json.loads((tokenizer_dir / "tokenizer_config.json").read_text())
    assert (config["bos_token"], config["add_bos_token"], config["add_eos_token"]) == ("<|endoftext|>", True, False)


def test_shards_are_encoded_without_it(case: Case) -> None:
    assert case.first not in case.tokenizer.encode_batch([TEXT])[0]
    assert case.tokenizer.tokenizer.encode(TEXT, add_special_tokens=False).ids == case.tokenizer.encode(TEXT)


@pytest.mark.parametrize("special", [False, True])
def test_requests_hold_it_once(case: Case, special: bool) -> None:
    contexts = ["ab", "", "ab "] + [f"{case.written}ab"] * special
    asked = [Continuation(context, " cd") for context in contexts]
    found, _ = encode_requests(case.tokenizer, asked, case.opens, special, None)
    for text, context in zip(found, contexts, strict=True):
        assert text.ids.tolist().count(case.first) == 1 and text.ids[0] == case.first, context
        bare = context.removeprefix(case.written)
        whole, known = case.tokenizer.encode(f"{bare} cd"), case.tokenizer.encode(bare.rstrip())
        assert text.scored == len(whole) - len(known), context


def test_every_way_to_a_model_opens_the_text_once(model: Any, case: Case) -> None:
    tokenizer, opens, plain = case.tokenizer, case.opens, case.tokenizer.encode(TEXT)
    with reading(model) as seen:
        generate(model, tokenizer, [TEXT], 1, seed=1, opens=opens)
        generate_until(model, tokenizer, [TEXT], [()], 1, opens=opens)
        score_documents(model, tokenizer, [TEXT], 64, 32, 64, first=opens.before_nothing)
    assert seen == [[case.first, *plain], [case.first, *plain], [case.first, *plain[:-1]]]
    with reading(model) as seen:
        score_continuations(model, tokenizer, [Continuation(TEXT, " un")], opens=opens)
        score_continuations(model, tokenizer, [Continuation("", TEXT)], opens=opens)
    rows = [row for row in seen if row[0] == case.first]  # beside the rows in which the model is tried
    whole = tokenizer.encode(f"{TEXT} un")
    assert rows == [[case.first, *whole[:-1]], [case.first, *plain[:-1]]]
