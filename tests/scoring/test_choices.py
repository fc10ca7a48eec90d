"""Continuations of contexts: cut as lm-evaluation-harness cuts them, truncated and counted, never a silent score."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tests.scoring.test_trees import alone
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from eurolm.errors import InputError
from eurolm.scoring import traits
from eurolm.scoring.choices import Continuation, ContinuationScore, NonFiniteScore, score_continuations
from eurolm.scoring.encoding import Opening, declared_context, encode_requests, opening
from eurolm.scoring.traits import examine
from eurolm.scoring.trees import TokenText
from eurolm.tokenizer.load import LoadedTokenizer, load

QUESTION = "Kura ir Latvijas galvaspilsēta?\nAtbilde:"
REQUESTS = [
    *[Continuation(QUESTION, choice) for choice in (" Rīga", " Tallina ir Igaunijas galvaspilsēta", " X", " Rīga.")],
    *[Continuation("", choice) for choice in ("Rīga ir liela.", "Rīga ir mazs.")],
    Continuation("Milline linn on Eesti pealinn? ", "Tallinn"),
]


def test_scores_are_those_of_each_continuation_alone(model: Any, tokenizer: LoadedTokenizer) -> None:
    found = score_continuations(model, tokenizer, REQUESTS)
    for request, score in zip(REQUESTS, found, strict=True):
        context, text = request.context.rstrip(), request.context[len(request.context.rstrip()) :] + request.text
        whole = tokenizer.encode(context + text) if context else [tokenizer.eod_id, *tokenizer.encode(text)]
        known = len(tokenizer.encode(context)) if context else 1
        expected, best = alone(model, TokenText(np.array(whole), len(whole) - known))
        assert isinstance(score, ContinuationScore)
        assert score.log2_probability == pytest.approx(expected.sum() / math.log(2), rel=1e-5)
        assert (score.tokens, score.bytes) == (len(expected), len(request.text.encode()))
        assert score.greedy == best.all()
        assert score.truncated_tokens == 0


def test_the_order_of_requests_and_the_threads_change_nothing(model: Any, tokenizer: LoadedTokenizer) -> None:
    """Equal to the last bit: the same rows are formed."""
    found = score_continuations(model, tokenizer, REQUESTS, batch_tokens=64)
    assert score_continuations(model, tokenizer, REQUESTS[::-1], batch_tokens=64, workers=2)[::-1] == found


def test_a_prompt_beyond_the_context_loses_its_beginning_and_is_counted(model: Any, tokenizer: LoadedTokenizer) -> None:
    long = "Senos laikos dzīvoja vecs vīrs. " * 60 + QUESTION
    whole, tail = tokenizer.encode(long + " Rīga"), tokenizer.encode(" Rīga")
    (score,) = score_continuations(model, tokenizer, [Continuation(long, " Rīga")])
    assert isinstance(score, ContinuationScore)
    assert score.truncated_tokens == len(whole) - 257 > 0
    expected, _ = alone(model, TokenText(np.array(whole[-257:]), len(tail)))
    assert score.log2_probability == pytest.approx(expected.sum() / math.log(2), rel=1e-5)


def test_logits_that_are_not_finite_are_no_score(model: Any, tokenizer: LoadedTokenizer) -> None:
    broken = copy.deepcopy(model)
    token = tokenizer.encode("X")[0]
    broken.model.embed_tokens.weight.data[token] = float("nan")
    requests = [Continuation("A X", " b c"), Continuation("A b", " c")]
    first, second = score_continuations(broken, tokenizer, requests)
    assert isinstance(second, ContinuationScore)
    assert first == NonFiniteScore(second.tokens + 1, 4, 0)


def test_continuations_that_cannot_be_scored_are_refused(model: Any, tokenizer: LoadedTokenizer) -> None:
    with pytest.raises(InputError, match=r"the continuation '' has no token of its own after the context …'abc'"):
        score_continuations(model, tokenizer, [Continuation("abc", "")])
    with pytest.raises(InputError, match=r"a continuation of \d+ tokens is longer than the model's context of 256"):
        score_continuations(model, tokenizer, [Continuation("abc", " ļoti" * 400)])
    assert score_continuations(model, tokenizer, []) == []


def test_a_tokenizer_that_adds_bos_opens_every_context(tokenizer_dir: Path, tmp_path: Path) -> None:
    """As `AutoTokenizer` of the directory does, once where the context brings it along."""
    for name in ("without", "with"):
        (tmp_path / name).mkdir()
        made = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
        made.post_processor = TemplateProcessing(
            single="<|endoftext|> $A" if name == "with" else "$A", special_tokens=[("<|endoftext|>", 0)]
        )
        made.save(str(tmp_path / name / "tokenizer.json"))
        config = (tokenizer_dir / "tokenizer_config.json").read_bytes()
        (tmp_path / name / "tokenizer_config.json").write_bytes(config)
    tokenizer = load(tmp_path / "with")
    bare, opened = opening(tmp_path / "without", tokenizer), opening(tmp_path / "with", tokenizer)
    assert bare == Opening((), tokenizer.eod_id)
    assert opened == Opening((tokenizer.eod_id,), tokenizer.eod_id, "<|endoftext|>")
    for said, contexts in ((bare, ["ab", ""]), (opened, ["ab", "", "<|endoftext|>ab"])):
        texts, _ = encode_requests(tokenizer, [Continuation(text, " cd") for text in contexts], said, True, None)
        plain = tokenizer.encode("ab cd")
        assert texts[0].ids.tolist() == [*said.before_context, *plain]
        assert texts[0].scored == len(tokenizer.encode(" cd"))
        assert texts[1].ids.tolist() == [tokenizer.eod_id, *tokenizer.encode(" cd")]
        assert all(text.ids.tolist() == [tokenizer.eod_id, *plain] for text in texts[2:])
    # Special tokens written in an ordinary text stay text.
    (text,), _ = encode_requests(tokenizer, [Continuation("<|endoftext|>", "a")], bare, False, None)
    assert tokenizer.eod_id not in text.ids


@pytest.mark.parametrize("kernel", ["sdpa", "none"])
def test_models_of_other_families(tokenizer: LoadedTokenizer, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learned positions, biases, capped logits, sliding windows, no pad token: each as its own class scores alone."""
    monkeypatch.setattr(traits, "MASKED_ATTENTION", kernel)
    sizes = {"vocab_size": 1024, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 1, "intermediate_size": 64, "head_dim": 16}  # fmt: skip
    configs = [
        transformers.GPT2Config(vocab_size=1024, n_embd=32, n_layer=2, n_head=2, n_positions=128),
        transformers.GPTNeoXConfig(**sizes | {"num_key_value_heads": 2}),
        transformers.Qwen3Config(**sizes),
        transformers.Gemma2Config(**sizes, final_logit_softcapping=5.0, sliding_window=16),
        transformers.Gemma3TextConfig(**sizes, sliding_window=16),
        transformers.Olmo2Config(**sizes),
        transformers.BloomConfig(vocab_size=1024, hidden_size=32, n_layer=2, n_head=2),
    ]
    for config in configs if kernel == "sdpa" else configs[2:4]:
        config.pad_token_id = None
        with torch.random.fork_rng():
            torch.manual_seed(1)
            other = transformers.AutoModelForCausalLM.from_config(config).eval()
            for parameter in other.parameters():
                parameter.data.normal_(0, 0.2)
        found = score_continuations(other, tokenizer, REQUESTS[:4])
        for request, score in zip(REQUESTS, found, strict=False):
            whole = np.array(tokenizer.encode(request.context + request.text))
            expected, _ = alone(other, TokenText(whole, len(whole) - len(tokenizer.encode(request.context))))
            assert isinstance(score, ContinuationScore)
            assert score.log2_probability == pytest.approx(expected.sum() / math.log(2), rel=1e-4), config.model_type


@pytest.mark.parametrize("name", ["n_positions", "max_position_embeddings", "n_ctx", "other"])
def test_the_context_has_several_names(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({name: 256}))
    assert declared_context(tmp_path) == (None if name == "other" else 256)


def test_branches_beyond_learned_positions(tokenizer: LoadedTokenizer) -> None:
    """A row of several texts is longer than the model's context; none of its positions is, padding's included."""
    config = transformers.GPT2Config(vocab_size=1024, n_embd=32, n_layer=2, n_head=2, n_positions=64, pad_token_id=None)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        small = transformers.AutoModelForCausalLM.from_config(config).eval()
    choices = [" Rīga", " Tallina ir Igaunijas galvaspilsēta", " Viļņa ir Lietuvas galvaspilsēta", " Daugavpils"]
    contexts = (QUESTION, "Reiz ceļinieks jautāja: " + QUESTION)
    requests = [Continuation(context, choice) for context in contexts for choice in choices]
    found = score_continuations(small, tokenizer, requests)
    for request, score in zip(requests, found, strict=True):
        (by_itself,) = score_continuations(small, tokenizer, [request])
        assert isinstance(score, ContinuationScore) and isinstance(by_itself, ContinuationScore)
        assert score.log2_probability == pytest.approx(by_itself.log2_probability, rel=1e-5)


def test_a_model_is_tried_before_it_is_scored(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examine(model).masks
    with torch.random.fork_rng():
        torch.manual_seed(1)
        mamba = transformers.MambaForCausalLM(
            transformers.MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1, state_size=4)
        )
    assert not examine(mamba.eval()).masks
    odd = copy.deepcopy(model)
    forward = odd.lm_head.forward
    odd.lm_head.forward = lambda hidden: forward(hidden) * 2
    with pytest.raises(InputError, match="logits are not its output head applied to its last hidden state"):
        examine(odd)
