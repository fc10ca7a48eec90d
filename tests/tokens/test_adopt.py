from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tokens.independent import write_documents
from tests.tokens.small_corpus import QUIET, corpus_texts

from eurolm.config.tokens import TokensConfig
from eurolm.errors import InputError
from eurolm.tokenizer.load import load
from eurolm.tokens.adopt import adopt_foreign
from eurolm.tokens.description import read_description
from eurolm.tokens.stage import build_tokens, input_files


@pytest.fixture(scope="module")
def encoded(corpus: Path, tokenizer_dir: Path) -> list[list[int]]:
    loaded = load(tokenizer_dir)
    return [[*ids, 0] for ids in loaded.encode_batch(list(corpus_texts(corpus).values())[:120])]


def foreign(place: Path, encoded: list[list[int]]) -> Path:
    """Shards as other tools leave them: flat with Megatron's suffix, by source, int32, sentences as sequences."""
    whole = [[ids] for ids in encoded]
    split = [[ids[:5], ids[5:]] if len(ids) > 5 else [ids] for ids in encoded]
    write_documents(place / "lv_text_document", whole[:40], 8)
    write_documents(place / "et" / "part-0", split[40:80], 4)
    write_documents(place / "et" / "part-1", whole[80:], 8)
    write_documents(place / "nothing", [], 4)
    return place


def test_foreign_shards_are_described_where_they_lie(
    tmp_path: Path, tokenizer_dir: Path, encoded: list[list[int]]
) -> None:
    place = foreign(tmp_path / "foreign", encoded)
    (tmp_path / "out").mkdir()
    build_tokens(TokensConfig(use=place), None, tokenizer_dir, tmp_path / "out", QUIET)
    record = read_description(tmp_path / "out")
    assert record.shards_in(tmp_path / "out") == place.resolve()
    assert {name: [shard.stem for shard in source.shards] for name, source in record.sources.items()} == {
        "et": ["et/part-0", "et/part-1"],
        "lv": ["lv_text_document"],
    }
    assert record.dtype is None
    assert sum(source.tokens for source in record.sources.values()) == sum(map(len, encoded))
    checks = json.loads((tmp_path / "out" / "tokens.json").read_text())["checks"]["shards"]
    assert checks["et/part-0"] == {
        "documents": 40, "documents_checked": 40, "ids_checked": sum(map(len, encoded[40:80])),
    }  # fmt: skip
    assert len(input_files(TokensConfig(use=place))) == 8


@pytest.mark.parametrize("broken_at", [0, 39, 20])
def test_a_document_without_eod_is_refused_by_name(
    tmp_path: Path, tokenizer_dir: Path, encoded: list[list[int]], broken_at: int
) -> None:
    documents = [[list(ids)] for ids in encoded[:40]]
    documents[broken_at][0][-1] = 500
    write_documents(tmp_path / "lv_text_document", documents, 8)
    with pytest.raises(InputError, match=rf"lv_text_document.bin: document {broken_at} of 40 ends with id 500"):
        adopt_foreign(tmp_path, tokenizer_dir)


@pytest.mark.parametrize(("bad", "code"), [(1024, 8), (60_000, 8), (-1, 4)])
def test_ids_outside_the_vocabulary_are_refused(
    tmp_path: Path, tokenizer_dir: Path, encoded: list[list[int]], bad: int, code: int
) -> None:
    documents = [[list(ids)] for ids in encoded[:40]]
    documents[7][0][0] = bad
    write_documents(tmp_path / "a", documents, code)
    with pytest.raises(InputError, match=rf"document 7 of 40 holds id {bad:,}.*ids 0 … 1,023"):
        adopt_foreign(tmp_path, tokenizer_dir)


def test_missing_halves_and_empty_directories_are_refused(
    tmp_path: Path, tokenizer_dir: Path, encoded: list[list[int]]
) -> None:
    with pytest.raises(InputError, match=r"neither tokens.json nor Megatron shards"):
        adopt_foreign(tmp_path, tokenizer_dir)
    write_documents(tmp_path / "a", [], 4)
    with pytest.raises(InputError, match="all of its shards are empty"):
        adopt_foreign(tmp_path, tokenizer_dir)
    write_documents(tmp_path / "b", [[ids] for ids in encoded[:3]], 4)
    (tmp_path / "b.idx").unlink()
    with pytest.raises(InputError, match=r"b.idx is missing"):
        adopt_foreign(tmp_path, tokenizer_dir)


def test_files_whose_short_names_clash_stay_apart(
    tmp_path: Path, tokenizer_dir: Path, encoded: list[list[int]]
) -> None:
    for name in ("lv_text_document", "lv_content_document", "et_text_sentence"):
        write_documents(tmp_path / name, [[ids] for ids in encoded[:3]], 8)
    sources = adopt_foreign(tmp_path, tokenizer_dir).record.sources
    assert sorted(sources) == ["et", "lv_content_document", "lv_text_document"]
