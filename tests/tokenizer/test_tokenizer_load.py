from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import sentencepiece
from tests.tokens.small_corpus import corpus_texts
from tokenizers import Tokenizer, models, pre_tokenizers

from eurolm.errors import InputError
from eurolm.tokenizer.load import PROBE, load


def test_special_strings_in_text_are_ordinary_text(tokenizer_dir: Path) -> None:
    loaded = load(tokenizer_dir)
    text = "beigas <|endoftext|> <|pad|><|im_start|><|spare_3|>"
    ids = loaded.encode(text)
    assert min(ids) >= 12
    assert loaded.encode_batch([text]) == [ids]
    assert loaded.decode(ids) == text
    assert loaded.decode([0, *ids, 0]) == f"<|endoftext|>{text}<|endoftext|>"


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_a_sentencepiece_directory_loads_as_transformers_reads_it(
    tmp_path: Path, corpus: Path, model_type: str
) -> None:
    from transformers import AutoTokenizer

    texts = [line for text in corpus_texts(corpus).values() for line in text.splitlines() if line.strip()][:3000]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_prefix=str(tmp_path / "tokenizer"),
        vocab_size=1000,
        model_type=model_type,
        byte_fallback=True,
        num_threads=1,
        minloglevel=2,
    )
    settings = {"tokenizer_class": "LlamaTokenizer", "eos_token": "</s>", "bos_token": "<s>", "unk_token": "<unk>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    loaded = load(tmp_path)
    reference = AutoTokenizer.from_pretrained(str(tmp_path))
    assert loaded.vocab_size >= 1000
    assert loaded.eod_id == 2
    assert all(loaded.encode(PROBE))
    assert loaded.encode_batch(texts[:50]) == reference(texts[:50], add_special_tokens=False)["input_ids"]
    assert loaded.eod_id not in loaded.encode("teksts </s> teksts")


def test_a_tokenizer_that_encodes_text_to_nothing_is_refused(tmp_path: Path) -> None:
    hollow = Tokenizer(models.BPE(vocab={"<unk>": 0, "<s>": 1, "</s>": 2}, merges=[]))
    hollow.pre_tokenizer = pre_tokenizers.Whitespace()
    hollow.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    with pytest.raises(InputError, match=r"into 0 ids.*3 entries"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer_config.json", "{}", "names no EOS token"),
        ("tokenizer_config.json", '{"eos_token": {"content": "<eos>"}}', "'<eos>' is not in the vocabulary"),
        ("tokenizer_config.json", "[", "not a JSON object"),
        ("tokenizer.json", '{"model":', "not a readable tokenizer"),
        ("tokenizer.json", None, "no tokenizer directory"),
    ],
)
def test_damaged_directories_are_refused_by_name(
    tmp_path: Path, tokenizer_dir: Path, name: str, content: str | None, message: str
) -> None:
    place = tmp_path / "copy"
    shutil.copytree(tokenizer_dir, place)
    if content is None:
        (place / name).unlink()
    else:
        (place / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        load(place)
    assert str(place) in str(caught.value)


def test_an_eos_token_in_the_older_map_is_found(tmp_path: Path, tokenizer_dir: Path) -> None:
    shutil.copy(tokenizer_dir / "tokenizer.json", tmp_path)
    (tmp_path / "special_tokens_map.json").write_text('{"eos_token": {"content": "<|im_end|>"}}')
    assert load(tmp_path).eod_id == 3
