from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from tests.tokenizer.scoring.making import (
    ODD_TEXTS,
    by_merges,
    byte_level,
    metaspace,
    mistral_data,
    rank_file,
    sample,
    sentencepiece_model,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from eurolm.errors import InputError
from eurolm.tokenizer.scoring.candidates import Candidate, open_all, open_candidate


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [*sample("lv", 60), *sample("et", 60)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("made")
    gpt = byte_level(500, texts, place / "gpt" / "tokenizer.json")
    return {
        "byte-level": gpt,
        "metaspace": metaspace(texts, place / "llama" / "tokenizer.json"),
        "bpe": sentencepiece_model(texts, place / "bpe.model", model_type="bpe", byte_fallback=True),
        "unigram": sentencepiece_model(texts, place / "unigram.model", model_type="unigram", byte_fallback=True),
        "tiktoken": rank_file(gpt, place / "r50k_base.tiktoken"),
    }


def opened(made: dict[str, Path], kind: str) -> Candidate:
    return open_candidate(str(made[kind]))


@pytest.mark.parametrize("kind", ["byte-level", "metaspace", "bpe", "unigram", "tiktoken"])
def test_tokens_of_every_make_spell_the_text_they_came_from(made: dict[str, Path], texts: list[str], kind: str) -> None:
    candidate = opened(made, kind)
    for text, ids in zip(texts + ODD_TEXTS, candidate.encode_batch(texts + ODD_TEXTS), strict=True):
        assert ids, text
        assert max(ids) < candidate.vocab_size
        assert candidate.returns(text, ids), text
        assert candidate.encode_batch([text]) == [ids]


def test_byte_fallback_is_what_holds_no_whole_character(made: dict[str, Path]) -> None:
    text = "ģ" * 3 + "🙂"
    for kind in ("metaspace", "bpe"):
        candidate = opened(made, kind)
        assert len(candidate.opened.fallback_ids) == 256
        ids = candidate.encode_batch([text])[0]
        assert sum(number in candidate.opened.fallback_ids for number in ids) == len("🙂".encode())
    candidate = opened(made, "byte-level")
    partial = {candidate.opened.pieces[number] for number in candidate.opened.fallback_ids}
    assert b"\xf0" in partial
    assert not {b"a", "ā".encode()} & partial


def test_a_rank_file_gives_the_ids_of_the_same_vocabulary_in_hugging_face_format(
    made: dict[str, Path], texts: list[str]
) -> None:
    one, other = opened(made, "byte-level"), opened(made, "tiktoken")
    assert one.encode_batch(texts + ODD_TEXTS) == other.encode_batch(texts + ODD_TEXTS)
    assert one.opened.pieces == other.opened.pieces
    assert one.opened.fallback_ids == other.opened.fallback_ids
    assert one.sha256 != other.sha256


def test_a_rank_file_without_a_known_name_asks_for_the_regular_expression(made: dict[str, Path]) -> None:
    renamed = made["tiktoken"].with_name("mine.tiktoken")
    renamed.write_bytes(made["tiktoken"].read_bytes())
    with pytest.raises(InputError, match=r"names no pre-tokenizer.*@NAME.*gpt2, cl100k, o200k"):
        open_candidate(str(renamed))
    with pytest.raises(InputError, match="'gpt9' is no regular expression"):
        open_candidate(f"{renamed}@gpt9")
    named, other = open_candidate(f"{renamed}@gpt2"), open_candidate(f"{renamed}@cl100k")
    assert named.encode_batch(["1234567"]) == opened(made, "tiktoken").encode_batch(["1234567"])
    assert named.sha256 != other.sha256


def test_a_sentencepiece_file_is_read_by_sentencepiece_and_alone(made: dict[str, Path], texts: list[str]) -> None:
    import sentencepiece

    reference = sentencepiece.SentencePieceProcessor(model_file=str(made["bpe"]))
    candidate = opened(made, "bpe")
    assert candidate.vocab_size == 900
    assert candidate.encode_batch(texts) == reference.Encode(texts)
    directory = made["bpe"].parent / "directory"
    directory.mkdir()
    (directory / "tokenizer.model").write_bytes(made["bpe"].read_bytes())
    (directory / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    assert open_candidate(str(directory)).encode_batch(texts) == reference.Encode(texts)
    assert open_candidate(str(directory)).name == "directory"


def test_mistrals_own_files_open_with_their_special_tokens_first(texts: list[str]) -> None:
    data = mistral_data()
    some = texts[:40] + ODD_TEXTS
    tekken = open_candidate(str(data / "tekken_240911.json"))
    vocabulary = json.loads((data / "tekken_240911.json").read_bytes())["vocab"]
    assert tekken.vocab_size == 131_072
    assert tekken.opened.pieces[:1000] == [None] * 1000
    assert tekken.opened.pieces[60_000] == base64.b64decode(vocabulary[59_000]["token_bytes"])
    # As mistral-common 1.13.1 encodes it, without BOS.
    assert tekken.encode_batch(["Mana māja ir 1234."]) == [
        [1077, 3088, 1283, 96888, 4589, 1032, 1049, 1050, 1051, 1052, 1046]
    ]
    sentencepiece = open_candidate(f"mistral={data / 'tokenizer.model.v1'}")
    assert (sentencepiece.name, sentencepiece.vocab_size) == ("mistral", 32_000)
    for candidate in (tekken, sentencepiece):
        assert all(candidate.returns(text, ids) for text, ids in zip(some, candidate.encode_batch(some), strict=True))


def test_what_the_transformers_trap_yields_is_an_error(tmp_path: Path) -> None:
    hollow = Tokenizer(models.BPE(vocab={"<unk>": 0, "<s>": 1, "</s>": 2}, merges=[]))
    hollow.pre_tokenizer, hollow.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    hollow.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match=r"into 0 ids.*loses text.*3 entries"):
        open_candidate(str(tmp_path))


def test_a_vocabulary_whose_tokens_do_not_spell_is_refused(tmp_path: Path, texts: list[str]) -> None:
    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106
    wordpiece.pre_tokenizer, wordpiece.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece()
    wordpiece.train_from_iterator(texts, trainers.WordPieceTrainer(special_tokens=["[UNK]"], show_progress=False))
    wordpiece.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match=r"WordPiece.*neither byte-level nor metaspace"):
        open_candidate(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", '{"model":', "not a readable tokenizer"),
        ("x.model", "no protobuf", "not a SentencePiece model"),
        ("r50k_base.tiktoken", "no ranks", "not a tiktoken rank file"),
        ("r50k_base.tiktoken", "YQ== 0\n", "lacks 255 of the 256 bytes"),
        ("tekken.json", "{}", "not a tekken.json"),
        ("notes.txt", "text", "is no tokenizer file"),
        ("sub/notes", "text", "holds no tokenizer.json"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    given = path.parent if "/" in name else path
    with pytest.raises(InputError, match=message) as caught:
        open_candidate(str(given))
    assert str(given) in str(caught.value)


def test_equal_names_are_told_apart_and_the_same_tokenizer_twice_is_refused(tmp_path: Path) -> None:
    one = by_merges([("a", "b")], tmp_path / "a" / "same" / "tokenizer.json")
    other = by_merges([("b", "c")], tmp_path / "b" / "same" / "tokenizer.json")
    names = [candidate.name for candidate in open_all([str(one), str(other.parent)])]
    assert len(set(names)) == 2
    assert all(name.startswith("same ") for name in names)
    with pytest.raises(InputError, match="given twice"):
        open_all([str(one), str(one)])


def test_an_added_token_spells_itself(tmp_path: Path) -> None:
    path = by_merges([("a", "b")], tmp_path / "tokenizer.json")
    value = json.loads(path.read_text())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    value["added_tokens"] = [
        {"id": 257, "content": "<|vārds|>", "special": False, **flags},
        {"id": 258, "content": "<|beigas|>", "special": True, **flags},
    ]
    path.write_text(json.dumps(value))
    candidate = open_candidate(str(path))
    text = "ab <|vārds|> <|beigas|>"
    ids = candidate.encode_batch([text])[0]
    assert 257 in ids
    assert 258 not in ids
    assert candidate.returns(text, ids)
