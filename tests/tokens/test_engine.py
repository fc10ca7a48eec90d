"""Two engines, one set of ids: what the fast one must prove, and what happens when it cannot."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import sample_documents
from tests.tokens.small_corpus import ODD_TEXTS, QUIET, corpus_texts, files_of, write_shard

from eurolm.config.tokens import TokensConfig
from eurolm.corpus.documents import shards
from eurolm.errors import EurolmError, InputError, MachineError
from eurolm.tokenizer.load import LoadedTokenizer, load
from eurolm.tokens import engine, probe
from eurolm.tokens.engine import choose, encoder
from eurolm.tokens.stage import encode_corpus

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "text"


def ids_of(loaded: LoadedTokenizer, name: engine.Name, texts: list[str]) -> list[list[int]]:
    ids, lengths = encoder(loaded, name)(texts)
    return [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])]


@pytest.fixture(scope="module")
def loaded(tokenizer_dir: Path) -> LoadedTokenizer:
    return load(tokenizer_dir)


@pytest.fixture(params=["tokenizers", "fastokens"])
def name(request: pytest.FixtureRequest) -> engine.Name:
    if request.param == "fastokens":
        pytest.importorskip("fastokens", reason="the extra `fast` is not installed")
    return request.param


def test_ids_are_those_of_auto_tokenizer(tokenizer_dir: Path, loaded: LoadedTokenizer, name: engine.Name) -> None:
    transformers = pytest.importorskip("transformers")
    texts = [document["text"] for language in ("lv", "et") for document in sample_documents(language, 400)]
    expected = transformers.AutoTokenizer.from_pretrained(str(tokenizer_dir), local_files_only=True)
    assert ids_of(loaded, name, texts) == expected(texts, add_special_tokens=False)["input_ids"]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ids_are_those_of_auto_tokenizer_on_all_collected_text(tokenizer_dir: Path, loaded: LoadedTokenizer) -> None:
    transformers, zstandard = pytest.importorskip("transformers"), pytest.importorskip("zstandard")
    pytest.importorskip("fastokens", reason="the extra `fast` is not installed")
    files = sorted(SHARED.glob("*/*.jsonl.zst"))
    if not files:
        pytest.skip(f"{SHARED} is not there")
    expected = transformers.AutoTokenizer.from_pretrained(str(tokenizer_dir), local_files_only=True)
    for path in files:
        with zstandard.open(path, "rt", encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in lines]
        for first in range(0, len(texts), 2000):
            part = texts[first : first + 2000]
            assert ids_of(loaded, "fastokens", part) == expected(part, add_special_tokens=False)["input_ids"], path


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=6))
def test_every_string_comes_back_and_both_engines_agree(loaded: LoadedTokenizer, texts: list[str]) -> None:
    ids = ids_of(loaded, "tokenizers", texts)
    assert [loaded.decode(part) for part in ids] == texts
    if find_spec("fastokens"):
        assert ids_of(loaded, "fastokens", texts) == ids


def test_special_tokens_spelled_out_in_text_stay_text(loaded: LoadedTokenizer, name: engine.Name) -> None:
    special = [token.content for token in loaded.tokenizer.get_added_tokens_decoder().values()]
    reserved = set(loaded.tokenizer.get_added_tokens_decoder())
    texts = [*special, *(f"pirms {token}pēc" for token in special), *ODD_TEXTS]
    assert len(special) > 8
    for text, ids in zip(texts, ids_of(loaded, name, texts), strict=True):
        assert not reserved & set(ids)
        assert loaded.decode(ids) == text


def test_the_probe_looks_at_every_source_and_language(tmp_path: Path) -> None:
    for number in range(30):
        write_shard(
            tmp_path / f"documents/big/{number:05d}.parquet", [f"b{number} {n}" for n in range(50)], "lv", "big"
        )
    write_shard(tmp_path / "documents/small/00000.parquet", ["s" * 9000], "ltg", "small")
    texts = probe.corpus_texts(shards(tmp_path))
    assert len(texts) == probe.SHARDS * probe.DOCUMENTS + 1
    assert {"b0 0", "b0 49", "b29 0", "b29 49", "s" * probe.CHARACTERS} <= set(texts)


def test_the_engine_changes_no_byte_and_is_told(
    tmp_path: Path, corpus: Path, tokenizer_dir: Path, tokens_dir: Path
) -> None:
    pytest.importorskip("fastokens", reason="the extra `fast` is not installed")
    for wanted in ("tokenizers", "fastokens", "auto"):
        choice = encode_corpus(TokensConfig(engine=wanted, workers=1), corpus, tokenizer_dir, tmp_path / wanted, QUIET)
        assert choice.engine == ("tokenizers" if wanted == "tokenizers" else "fastokens")
        assert (choice.compared > 100, choice.version is not None) == (wanted != "tokenizers", True)
        assert files_of(tmp_path / wanted) == files_of(tokens_dir)


def test_without_the_fast_engine_tokenizers_encode_and_the_cause_is_told(
    tmp_path: Path,
    corpus: Path,
    tokenizer_dir: Path,
    tokens_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from eurolm.console import Reporter

    engine.encoder.cache_clear()
    monkeypatch.setitem(sys.modules, "fastokens", None)
    choice = encode_corpus(TokensConfig(workers=1), corpus, tokenizer_dir, tmp_path, Reporter("json"))
    assert choice.engine == "tokenizers"
    assert capsys.readouterr().err.count("fastokens is not installed (pip install 'eurolm[fast]')") == 2
    assert files_of(tmp_path) == files_of(tokens_dir)
    with pytest.raises(MachineError, match=r"tokens.engine = fastokens: fastokens is not installed .* Set it to auto"):
        choose("fastokens", load(tokenizer_dir), [])


def test_one_other_id_and_the_fast_engine_is_not_used(loaded: LoadedTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is right but for one text in hundreds."""
    reference = encoder(loaded, "tokenizers")

    def almost(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        return reference(["õ" if text == "ö mitte õ" else text for text in texts])

    engine.encoder.cache_clear()
    monkeypatch.setattr(engine, "_fastokens", lambda tokenizer: almost)
    texts = [f"tekst {number}" for number in range(300)]
    assert choose("auto", loaded, texts).engine == "fastokens"
    wrong = choose("auto", loaded, [*texts, "ö mitte õ"])
    assert (wrong.engine, wrong.compared > 300) == ("tokenizers", True)
    assert "other ids than tokenizers for 'ö mitte õ'" in wrong.reason
    with pytest.raises(InputError, match=r"tokens.engine = fastokens: fastokens gives other ids"):
        choose("fastokens", loaded, ["ö mitte õ"])
    engine.encoder.cache_clear()


def test_a_tokenizer_the_fast_engine_cannot_read_is_encoded_without(tokenizer_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("fastokens", reason="the extra `fast` is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers

    plain = Tokenizer(models.WordLevel({"<eos>": 0, "a": 1, "<unk>": 2}, unk_token="<unk>"))  # noqa: S106
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    odd = LoadedTokenizer(plain, 0, 3, "0" * 64)
    choice = choose("auto", odd, ["a a b"])
    assert choice.engine == "tokenizers" and "fastokens cannot read this tokenizer" in choice.reason
    with pytest.raises(EurolmError):
        choose("fastokens", odd, ["a a b"])


def test_corpus_texts_of_the_fixture_reach_both_languages(corpus: Path) -> None:
    texts = set(probe.corpus_texts(shards(corpus)))
    for language in ("lv_text", "et_text", "odd"):
        own = {text[: probe.CHARACTERS] for key, text in corpus_texts(corpus).items() if key.startswith(language)}
        assert own & texts
