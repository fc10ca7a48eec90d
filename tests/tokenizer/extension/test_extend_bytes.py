"""Byte-level tokenizers: eurolm's own, Llama-3-like ones with `ignore_merges` and ids at the end, GPT-2-like ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tokenizer.extension.bases import edit, english, fewer, ids_of, own, sample, texts, tokenizer_in
from tests.tokens.small_corpus import ODD_TEXTS, files_of
from tokenizers import AddedToken, Tokenizer, processors

from eurolm.errors import ConfigError, InputError
from eurolm.tokenizer.extension.base import load_base
from eurolm.tokenizer.extension.extend import Wish, extend
from eurolm.tokenizer.load import load

ADDED = 500
TEXT = [one for one in sample("et") if "bill_summaries" in one or "optalvik" in one]
AT_THE_END = ["<|begin_of_text|>", "<|reserved_0|>", "<|eot_id|>"]


@pytest.fixture(scope="module")
def latvian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own("lv", 3000, tmp_path_factory.mktemp("own") / "latvian")


def copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def as_it_is(source: Path, target: Path) -> Path:
    return copy(source, target)


def llama3_like(source: Path, target: Path) -> Path:
    """Special tokens after the vocabulary and not in it, BOS put before a text, `ignore_merges`, a chat template."""
    edit(copy(source, target), ignore_merges=True)
    tokenizer = tokenizer_in(target)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in AT_THE_END])
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B", special_tokens=[("<|begin_of_text|>", bos)]
    )
    tokenizer.save(str(target / "tokenizer.json"))
    path = target / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
    path.write_text(json.dumps(config))
    (target / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    return target


def gpt2_like(source: Path, target: Path) -> Path:
    """A space put before a text, GPT-2's own pre-tokenizer, merges written as strings, as older files have them."""
    copy(source, target)
    path = target / "tokenizer.json"
    state: dict[str, Any] = json.loads(path.read_text())
    state["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    state["model"]["merges"] = [" ".join(pair) for pair in state["model"]["merges"]]
    path.write_text(json.dumps(state))
    return target


Kind = Callable[[Path, Path], Path]
KINDS = pytest.mark.parametrize("kind", [as_it_is, llama3_like, gpt2_like], ids=lambda kind: kind.__name__)


@KINDS
def test_a_latvian_vocabulary_learns_estonian(kind: Kind, latvian: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    place, out = kind(latvian, tmp_path / "base"), tmp_path / "out"
    told = extend(Wish(place, TEXT, ADDED), out)
    before, after = tokenizer_in(place), tokenizer_in(out)
    old, new = before.get_vocab(), after.get_vocab()
    assert {token: new[token] for token in old} == old
    assert sorted(token["id"] for token in told["new_tokens"]) == list(range(len(old), len(old) + ADDED))
    assert after.get_added_tokens_decoder().keys() == before.get_added_tokens_decoder().keys()
    assert told["unreached"] == [] and told["padded_vocab_size"] == -(-(len(old) + ADDED) // 128) * 128
    assert fewer(before, after, texts("et", 300)) > 0.2
    given = [*ODD_TEXTS, *texts("lv", 60), *texts("et", 60)]
    for text, ids in zip(given, ids_of(after, given), strict=True):
        assert after.decode(ids, skip_special_tokens=False).strip() == text.strip()
    words = [word for text in given for word in text.split()]
    same = [pair for pair in zip(ids_of(before, words), ids_of(after, words), strict=True) if max(pair[1]) < len(old)]
    assert len(same) > 100 and all(one == other for one, other in same)
    plain = given[1:]
    auto, was = AutoTokenizer.from_pretrained(str(out)), AutoTokenizer.from_pretrained(str(place))
    assert auto(plain, add_special_tokens=False)["input_ids"] == ids_of(after, plain)
    assert auto("x")["input_ids"][:1] == was("x")["input_ids"][:1]
    assert (auto.eos_token_id, auto.chat_template) == (was.eos_token_id, was.chat_template)
    assert load(out).eod_id == load(place).eod_id


@KINDS
def test_new_tokens_are_merges_of_whole_characters(kind: Kind, latvian: Path, tmp_path: Path) -> None:
    place = kind(latvian, tmp_path / "base")
    told = extend(Wish(place, [*TEXT, f"ru={russian(tmp_path)}"], 300), tmp_path / "out")
    after, base = tokenizer_in(tmp_path / "out"), load_base(place)
    state = json.loads((tmp_path / "out" / "tokenizer.json").read_text())
    assert state["model"]["merges"][: len(base.merges)] == [list(pair) for pair in base.merges]
    assert ["".join(pair) for pair in state["model"]["merges"][len(base.merges) :]] == [
        token["token"] for token in told["new_tokens"]
    ]
    assert "Привет" in after.decode(after.encode("Привет").ids)
    whole = [token for token in told["new_tokens"] if "\ufffd" not in after.decode([token["id"]])]
    assert any(character > "\u0400" for token in whole for character in after.decode([token["id"]]))
    for token in told["new_tokens"]:
        assert token in whole or len(token["token"]) < 4
        assert "".join(token["piece_tokens"]) == token["token"]


def russian(place: Path) -> Path:
    (place / "russian.txt").write_text("Привет мир, как дела? Хорошо, спасибо, а у вас как дела?\n" * 40)
    return place / "russian.txt"


@pytest.mark.parametrize("ignore", [False, True])
def test_protected_words_are_kept(ignore: bool, latvian: Path, tmp_path: Path) -> None:
    place = edit(copy(latvian, tmp_path / "base"), ignore_merges=ignore)
    prose = english(tmp_path / "english.txt")
    free, kept = tmp_path / "free", tmp_path / "kept"
    extend(Wish(place, TEXT, ADDED), free)
    told = extend(Wish(place, TEXT, ADDED, [f"en={prose}"]), kept)["protected"]["en"]
    words = sorted({f" {word}" for word in prose.read_text().split() if word.isalpha()})
    before, loose, tight = (ids_of(tokenizer_in(one), words) for one in (place, free, kept))
    changed = [sum(one != two for one, two in zip(before, other, strict=True)) for other in (loose, tight)]
    assert changed[0] > 0.02 * len(words)
    assert changed[1] <= 0.005 * len(words)
    assert told["word_forms_changed"] <= 0.003 * told["word_forms"]
    assert told["word_forms_longer"] == 0
    assert len(told["examples"]) == min(20, told["word_forms_changed"])
    given = texts("et", 200)
    assert fewer(tokenizer_in(place), tokenizer_in(kept), given) > 0.5 * fewer(
        tokenizer_in(place), tokenizer_in(free), given
    )


@KINDS
def test_replacing_keeps_every_word_of_the_texts(kind: Kind, latvian: Path, tmp_path: Path) -> None:
    place, prose = kind(latvian, tmp_path / "base"), english(tmp_path / "english.txt")
    extend(Wish(place, TEXT, 250, [f"en={prose}"]), tmp_path / "added")
    told = extend(Wish(place, TEXT, 250, [f"en={prose}"], replace=True), tmp_path / "replaced")
    before, added, replaced = (tokenizer_in(one) for one in (place, tmp_path / "added", tmp_path / "replaced"))
    assert replaced.get_vocab_size() == before.get_vocab_size()
    assert len(told["removed"]) == 250
    assert {before.token_to_id(token): token for token in told["removed"].values()} == {
        int(number): token for number, token in told["removed"].items()
    }
    special = before.get_added_tokens_decoder().keys()
    assert not special & {int(number) for number in told["removed"]}
    given = [*prose.read_text().split("\n"), *texts("et", 40), *ODD_TEXTS]
    english_only = prose.read_text().split()
    for one, other in zip(replaced.encode_batch(english_only), added.encode_batch(english_only), strict=True):
        assert one.tokens == other.tokens
    for text, ids in zip(given, ids_of(replaced, given), strict=True):
        assert replaced.decode(ids, skip_special_tokens=False).strip() == text.strip()


def test_the_output_is_a_function_of_the_input(latvian: Path, tmp_path: Path) -> None:
    for number, wanted in enumerate([TEXT, TEXT[::-1]]):
        extend(Wish(latvian, wanted, 100), tmp_path / str(number))
    assert files_of(tmp_path / "0") == files_of(tmp_path / "1")


def test_weights_shift_the_tokens_between_languages(latvian: Path, tmp_path: Path) -> None:
    wanted = [*TEXT, *(one for one in sample("lv") if "libreoffice" in one)]
    shares = []
    for weight in (1.0, 8.0):
        told = extend(Wish(latvian, wanted, 300, weights={"et": weight}), tmp_path / f"{weight}")["text"]
        shares.append((told["et"]["fewer"], told["lv"]["fewer"]))
    assert shares[1][0] > shares[0][0] > shares[0][1] > shares[1][1] > 0


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"texts": ["et=nowhere"]}, InputError, "et=nowhere does not exist"),
    ({"protect": ["nowhere.txt"]}, InputError, "nowhere.txt does not exist"),
    ({"weights": {"lv": 2.0}}, ConfigError, r"no --text is in 'lv', only in \['et'\]"),
    ({"weights": {"et": 0.0}}, ConfigError, "a weight is a positive number"),
    ({"add": 10_000_000}, InputError, r"--add 10,000,000: the text yields only \d"),
    ({"add": 2500, "replace": True}, InputError, r"--replace: only [\d,]+ of 3,000 tokens can give their ids"),
]


@pytest.mark.parametrize(("fields", "error", "message"), WRONG)
def test_wrong_wishes_are_refused_and_nothing_is_written(
    fields: dict[str, Any], error: type[Exception], message: str, latvian: Path, tmp_path: Path
) -> None:
    wish: dict[str, Any] = {"base": latvian, "texts": TEXT[:1], "add": 50, **fields}
    with pytest.raises(error, match=message):
        extend(Wish(**wish), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_text_that_the_base_spells_already_is_refused(latvian: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("un ir\n" * 50)
    with pytest.raises(InputError, match=r"yields only 0 new tokens.*needs no more tokens"):
        extend(Wish(latvian, [str(tmp_path / "text.txt")], 5), tmp_path / "out")


def test_other_models_are_refused_with_the_reason(latvian: Path, tmp_path: Path) -> None:
    from sentencepiece import SentencePieceTrainer
    from tokenizers import models

    SentencePieceTrainer.train(
        sentence_iterator=iter(texts("lv", 60)), model_prefix=str(tmp_path / "unigram"), vocab_size=400, minloglevel=2
    )
    (tmp_path / "piece").mkdir()
    Tokenizer(models.WordPiece(vocab={"[UNK]": 0}, unk_token="[UNK]")).save(  # noqa: S106
        str(tmp_path / "piece" / "tokenizer.json")
    )
    marked = edit(copy(latvian, tmp_path / "marked"), end_of_word_suffix="</w>")
    (tmp_path / "noise.model").write_bytes(b"noise")
    for place, message in (
        (tmp_path / "unigram.model", "UNIGRAM model, and only BPE has merges"),
        (tmp_path / "piece", "WordPiece model, and only BPE"),
        (marked, "marks end_of_word_suffix with '</w>'"),
        (tmp_path / "noise.model", "not a SentencePiece model"),
        (tmp_path, "neither tokenizer.json nor tokenizer.model"),
    ):
        with pytest.raises(InputError, match=message):
            load_base(place)
