from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tokens.small_corpus import ODD_TEXTS, QUIET, corpus_texts, files_of, write_shard

from eurolm.config.tokens import TokenizerConfig
from eurolm.errors import ConfigError, InputError
from eurolm.tokenizer.load import LoadedTokenizer, load
from eurolm.tokenizer.special import CHAT, END_OF_DOCUMENT, PAD, special_tokens
from eurolm.tokenizer.stage import build_tokenizer


@pytest.fixture(scope="session")
def loaded(tokenizer_dir: Path) -> LoadedTokenizer:
    return load(tokenizer_dir)


def build(tmp_path: Path, corpus: Path, **fields: object) -> Path:
    out = tmp_path / "tokenizer"
    out.mkdir(parents=True)
    build_tokenizer(
        TokenizerConfig.model_validate({"vocab_size": 600, "spare_tokens": 4, **fields}), corpus, out, QUIET
    )
    return out


def test_the_vocabulary_has_exactly_the_size_wanted_with_specials_first_and_every_byte(
    tokenizer_dir: Path, loaded: LoadedTokenizer
) -> None:
    vocabulary = json.loads((tokenizer_dir / "tokenizer.json").read_text())["model"]["vocab"]
    assert sorted(vocabulary.values()) == list(range(1024))
    assert loaded.vocab_size == loaded.tokenizer.get_vocab_size() == 1024
    wanted = [END_OF_DOCUMENT, PAD, *CHAT, *(f"<|spare_{n}|>" for n in range(4))]
    assert [loaded.tokenizer.id_to_token(number) for number in range(len(wanted))] == wanted
    assert loaded.eod_id == 0
    assert sum(len(token) == 1 for token in vocabulary) == 256


def test_transformers_loads_it_offline_without_warnings_and_agrees(
    tokenizer_dir: Path, loaded: LoadedTokenizer, corpus: Path
) -> None:
    code = f"""
import json, logging, sys, warnings
warnings.simplefilter("error")
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({str(tokenizer_dir)!r})
texts = json.load(sys.stdin)
ids = tokenizer(texts)["input_ids"]
print(json.dumps([ids, tokenizer.batch_decode(ids), tokenizer.eos_token_id, tokenizer.bos_token_id,
                  tokenizer.pad_token_id, len(tokenizer)]))
"""
    texts = [text for text in [*ODD_TEXTS, *corpus_texts(corpus).values()][:400] if "<|" not in text]
    answer = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert "arning" not in answer.stderr, answer.stderr
    ids, decoded, eos, bos, pad, size = json.loads(answer.stdout.splitlines()[-1])
    assert ids == [[0, *found] for found in loaded.encode_batch(texts)]  # opened by EOD, as documents are in training
    assert decoded == [END_OF_DOCUMENT + text for text in texts]
    assert (eos, bos, pad, size) == (0, 0, 1, 1024)


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"])) | st.text(alphabet=" \t\n\r'aāä1.🙂\u0301"))
def test_every_text_returns_as_it_was(loaded: LoadedTokenizer, text: str) -> None:
    ids = loaded.encode(text)
    assert loaded.decode(ids) == text
    assert all(number >= len(special_tokens(4)) for number in ids)


def test_two_trainings_give_the_same_bytes_whatever_the_threads(tmp_path: Path, corpus: Path) -> None:
    first = build(tmp_path / "a", corpus)
    code = (
        "import sys; from pathlib import Path; from tests.tokenizer.test_tokenizer_stage import build;"
        "build(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "b"), str(corpus)],
        check=True,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "RAYON_NUM_THREADS": "1"},
    )
    assert files_of(first) == files_of(tmp_path / "b" / "tokenizer")


def test_a_killed_attempt_is_finished_with_the_same_bytes(tmp_path: Path, corpus: Path) -> None:
    out = build(tmp_path, corpus)
    before = files_of(out)
    (out / "training.json").unlink()
    (out / "tokenizer.json").rename(out / "tokenizer.json.partial-0123")
    build_tokenizer(TokenizerConfig(vocab_size=600, spare_tokens=4), corpus, out, QUIET)
    assert files_of(out) == before


def test_weights_are_recorded_and_all_text_is_read(tmp_path: Path, corpus: Path) -> None:
    record = json.loads((build(tmp_path, corpus, weights={"lv": 2.0, "et": 0.5}) / "training.json").read_text())
    assert {name: facts["weight"] for name, facts in record["languages"].items()} == {"et": 0.5, "lv": 2.0}
    for facts in record["languages"].values():
        assert facts["read_bytes"] == facts["text_bytes"]
    sizes = [len(text.encode()) for name, text in corpus_texts(corpus).items() if name.startswith("et")]
    et = record["languages"]["et"]
    assert (et["documents"], et["text_bytes"]) == (len(sizes), sum(sizes))


def test_a_heavier_language_costs_less(tmp_path: Path, corpus: Path) -> None:
    costs = []
    for weight in (1.0, 8.0):
        out = build(tmp_path / str(weight), corpus, vocab_size=2000, weights={"et": weight})
        costs.append(json.loads((out / "training.json").read_text())["languages"]["et"]["heldout"]["tokens_per_word"])
    assert costs[1] < 0.95 * costs[0]


def test_the_card_says_what_the_record_says(tokenizer_dir: Path) -> None:
    card = (tokenizer_dir / "README.md").read_text()
    record = json.loads((tokenizer_dir / "training.json").read_text())
    assert "1,024 entries, byte-level BPE with the Llama-3 pre-tokenizer, of which 12 are special tokens" in card
    for language, facts in record["languages"].items():
        assert f"{language} {facts['heldout']['tokens_per_word']:.2f} tokens per word" in card


def test_special_tokens_of_ones_own_follow_the_chat_tokens(tmp_path: Path, corpus: Path) -> None:
    out = build(tmp_path, corpus, special_tokens=["<|lv_LV|>", "<|tool_call|>"])
    tokens = load(out).tokenizer
    assert [tokens.id_to_token(number) for number in (7, 8, 9, 10)] == [
        "<|tool|>", "<|lv_LV|>", "<|tool_call|>", "<|spare_0|>",
    ]  # fmt: skip
    assert json.loads((out / "tokenizer_config.json").read_text())["additional_special_tokens"][6] == "<|lv_LV|>"


def test_fertility_is_measured_on_held_out_text(tokenizer_dir: Path, loaded: LoadedTokenizer, corpus: Path) -> None:
    record = json.loads((tokenizer_dir / "training.json").read_text())
    for language, facts in record["languages"].items():
        texts = pq.read_table(corpus / "heldout" / language / f"{language}_text.parquet")["text"].to_pylist()
        tokens = sum(len(loaded.encode(text)) for text in texts)
        words = sum(len(text.split()) for text in texts)
        assert facts["heldout"]["tokens_per_word"] == pytest.approx(tokens / words)
        assert facts["heldout"]["bytes_per_token"] == pytest.approx(sum(len(t.encode()) for t in texts) / tokens)


def test_too_little_text_names_the_size_reached(tmp_path: Path) -> None:
    write_shard(tmp_path / "corpus/documents/a/00000.parquet", ["daudz daudz daudz teksta teksta"], "lv", "a")
    with pytest.raises(InputError, match=r"vocab_size = 600, but the text yields only 2\d\d entries.*vocab_size=2\d\d"):
        build(tmp_path, tmp_path / "corpus")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vocab_size": 512, "spare_tokens": 300}, r"leaves no room for merges: 256 bytes and 308 special"),
        ({"special_tokens": ["<|a|>", "<|b|>", "<|a|>"]}, r"'<\|a\|>' is there twice"),
        ({"special_tokens": ["<|pad|>"]}, r"'<\|pad\|>' is there twice. eurolm reserves <\|endoftext\|>, <\|pad\|>"),
        ({"special_tokens": ["<|spare_3|>"]}, r"'<\|spare_3\|>' is there twice"),
        ({"special_tokens": ["---"]}, r"'---' must be written <\|name\|>"),
        ({"weights": {"lt": 1.0}}, r"no text in 'lt', only in et, lv"),
        ({"weights": {"lv": 0.0}}, r"a weight is a positive number"),
    ],
)
def test_impossible_settings_are_refused(tmp_path: Path, corpus: Path, fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(tmp_path, corpus, **fields)
    assert not list((tmp_path / "tokenizer").glob("*.json"))


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "corpus/documents/a/00000.parquet", [], "lv", "a")
    with pytest.raises(InputError, match="no text left"):
        build(tmp_path, tmp_path / "corpus")
    with warnings.catch_warnings(), pytest.raises(InputError, match="not a finished corpus"):
        build(tmp_path / "b", tmp_path)
