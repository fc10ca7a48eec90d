from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.tokens.independent import read_documents
from tests.tokens.small_corpus import QUIET, corpus_texts, files_of, write_shard

from eurolm.artifacts.manifest import Manifest, describe_files, hash_of, write_manifest
from eurolm.config.tokens import TokenizerConfig, TokensConfig
from eurolm.errors import ConfigError, InputError
from eurolm.tokenizer.load import load
from eurolm.tokenizer.stage import build_tokenizer
from eurolm.tokens.description import read_description
from eurolm.tokens.encode import EncodeJob, _check_ids, encode_shard
from eurolm.tokens.engine import encoder
from eurolm.tokens.shards import ShardReader, type_for
from eurolm.tokens.stage import build_tokens, encode_corpus

CHECKOUT = Path(__file__).resolve().parents[2]


def test_an_independent_reader_finds_every_document_with_its_eod(
    corpus: Path, tokenizer_dir: Path, tokens_dir: Path
) -> None:
    loaded, texts = load(tokenizer_dir), corpus_texts(corpus)
    found = 0
    for index in sorted(tokens_dir.glob("*/*.idx")):
        stem = index.with_suffix("")
        table = pq.read_table(stem.with_suffix(".documents.parquet")).to_pylist()
        documents = read_documents(stem)
        with ShardReader(stem) as shard:
            assert [shard.document(n).tolist() for n in range(len(shard))] == documents
        for row, ids in zip(table, documents, strict=True):
            assert ids[-1] == loaded.eod_id
            assert loaded.eod_id not in ids[:-1]
            assert loaded.decode(ids[:-1]) == texts[row["id"]]
            assert (row["tokens"], row["bytes"]) == (len(ids), len(texts[row["id"]].encode()))
            found += 1
    assert found == len(texts) > 100


def test_tokens_json_adds_up(corpus: Path, tokenizer_dir: Path, tokens_dir: Path) -> None:
    record = read_description(tokens_dir)
    texts = corpus_texts(corpus)
    assert (record.tokenizer_sha256, record.vocab_size, record.eod_id) == (load(tokenizer_dir).sha256, 1024, 0)
    assert (record.dtype, record.directory) == ("uint16", None)
    assert {name: source.language for name, source in record.sources.items()} == {
        "et_text": "et", "lv_text": "lv", "odd": "lv",
    }  # fmt: skip
    for name, source in record.sources.items():
        stored = {shard.stem: sum(map(len, read_documents(tokens_dir / shard.stem))) for shard in source.shards}
        own = [text for key, text in texts.items() if key.startswith(f"{name}-")]
        assert {shard.stem: shard.tokens for shard in source.shards} == stored
        assert source.tokens == sum(stored.values()) == source.languages[source.language]["tokens"]
        assert source.documents == len(own) == sum(shard.documents for shard in source.shards)
        assert source.text_bytes == sum(len(text.encode()) for text in own)


def test_the_same_bytes_from_one_worker_and_from_four(
    tmp_path: Path, corpus: Path, tokenizer_dir: Path, tokens_dir: Path
) -> None:
    encode_corpus(TokensConfig(workers=4), corpus, tokenizer_dir, tmp_path, QUIET)
    assert files_of(tmp_path) == files_of(tokens_dir)


@pytest.mark.parametrize("shards_done", [1, 4, 9])
def test_the_same_bytes_after_kill_9(
    tmp_path: Path, corpus: Path, tokenizer_dir: Path, tokens_dir: Path, shards_done: int
) -> None:
    code = (
        "import sys; from pathlib import Path; from eurolm.config.tokens import TokensConfig;"
        "from eurolm.console import Reporter; from eurolm.tokens.stage import encode_corpus;"
        "encode_corpus(TokensConfig(workers=1), *map(Path, sys.argv[1:]), Reporter('quiet'))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(corpus), str(tokenizer_dir), str(tmp_path)],
        cwd=CHECKOUT,
        start_new_session=True,
    )
    while len(list(tmp_path.glob("*/*.idx"))) < shards_done and process.poll() is None:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "tokens.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.idx")}
    (tmp_path / "lv_text").mkdir(exist_ok=True)
    (tmp_path / "lv_text" / "00001.bin.partial-0123456789ab").write_bytes(b"half")
    encode_corpus(TokensConfig(workers=1), corpus, tokenizer_dir, tmp_path, QUIET)
    assert files_of(tmp_path) == files_of(tokens_dir)
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())


@pytest.mark.parametrize("suffix", [".bin", ".idx"])
def test_a_shard_cut_short_by_one_byte_is_refused_by_name(tmp_path: Path, tokens_dir: Path, suffix: str) -> None:
    for name in ("00001.bin", "00001.idx"):
        shutil.copy(tokens_dir / "lv_text" / name, tmp_path)
    damaged = tmp_path / f"00001{suffix}"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(InputError, match="cut short") as caught:
        ShardReader(tmp_path / "00001")
    assert str(damaged) in str(caught.value)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [(0, b"X", "does not start with"), (9, b"\x02", "version 2"), (17, b"\x06", "type code 6"), (34, b"\xff", "bin")],
)
def test_damaged_indexes_are_refused(tmp_path: Path, tokens_dir: Path, offset: int, value: bytes, message: str) -> None:
    for name in ("00001.bin", "00001.idx"):
        shutil.copy(tokens_dir / "lv_text" / name, tmp_path)
    index = tmp_path / "00001.idx"
    data = bytearray(index.read_bytes())
    data[offset : offset + 1] = value
    index.write_bytes(data)
    with pytest.raises(InputError, match=message if message != "bin" else "pointers do not follow"):
        ShardReader(tmp_path / "00001")


def test_finished_tokens_are_used_in_place(tmp_path: Path, tokenizer_dir: Path, tokens_dir: Path) -> None:
    build_tokens(TokensConfig(use=tokens_dir), None, tokenizer_dir, tmp_path, QUIET)
    used = read_description(tmp_path)
    assert used.shards_in(tmp_path) == tokens_dir.resolve()
    assert used.sources == read_description(tokens_dir).sources
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.json"]


def test_used_tokens_that_are_not_those_of_their_manifest_are_refused(
    tmp_path: Path, tokenizer_dir: Path, tokens_dir: Path
) -> None:
    place = tmp_path / "tokens"
    shutil.copytree(tokens_dir, place)
    files = describe_files(place)
    write_manifest(place, Manifest("tokens", "0" * 16, hash_of(files), files))
    (tmp_path / "out").mkdir()
    build_tokens(TokensConfig(use=place), None, tokenizer_dir, tmp_path / "out", QUIET)
    victim = place / "lv_text" / "00001.bin"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with pytest.raises(InputError, match=r"1 files differ from the manifest, first lv_text/00001\.bin"):
        build_tokens(TokensConfig(use=place), None, tokenizer_dir, tmp_path / "out", QUIET)


def test_tokens_of_another_tokenizer_are_refused(tmp_path: Path, corpus: Path, tokens_dir: Path) -> None:
    other = tmp_path / "tokenizer"
    other.mkdir()
    build_tokenizer(TokenizerConfig(vocab_size=600, spare_tokens=4), corpus, other, QUIET)
    with pytest.raises(InputError, match="was encoded with tokenizer"):
        build_tokens(TokensConfig(use=tokens_dir), None, other, tmp_path, QUIET)


def test_forgotten_documents_are_left_out_and_counted(
    tmp_path: Path, corpus: Path, tokenizer_dir: Path, tokens_dir: Path
) -> None:
    """By URL; a shard of which nothing is left is not written, and no other document changes."""
    names, urls = (
        pq.read_table(corpus / "documents/lv_text/00001.parquet")[name].to_pylist() for name in ("id", "url")
    )
    emptied = pq.read_table(corpus / "documents/odd/00001.parquet")["url"].to_pylist()
    gone = {urls[0], urls[7], urls[-1], *emptied}
    forget, out = tmp_path / "forget.txt", tmp_path / "out"
    forget.write_text("\n".join([*sorted(gone), "0" * 32]))
    out.mkdir()
    encode_corpus(TokensConfig(workers=1), corpus, tokenizer_dir, out, QUIET, [forget])
    record = read_description(out)
    assert record.forgotten == 3 + len(emptied)
    assert json.loads((out / "tokens.json").read_text())["forgotten"] == 3 + len(emptied)
    assert [shard.stem for shard in record.sources["odd"].shards] == ["odd/00000"]
    before = read_documents(tokens_dir / "lv_text/00001")
    kept = [place for place, url in enumerate(urls) if url not in gone]
    assert read_documents(out / "lv_text/00001") == [before[place] for place in kept]
    table = pq.read_table(out / "lv_text/00001.documents.parquet")
    assert table["id"].to_pylist() == [names[place] for place in kept]
    changed = {"tokens.json", *(f"lv_text/00001.{end}" for end in ("bin", "idx", "documents.parquet"))}
    expected = {name: data for name, data in files_of(tokens_dir).items() if not name.startswith("odd/00001.")}
    found = files_of(out)
    assert {name for name, data in expected.items() if found[name] != data} == changed
    assert set(found) == set(expected)
    assert read_description(tokens_dir).forgotten is None


def test_nothing_to_encode_is_refused(tmp_path: Path, tokenizer_dir: Path) -> None:
    write_shard(tmp_path / "corpus/documents/a/00000.parquet", [], "lv", "a")
    with pytest.raises(InputError, match="no documents to encode"):
        encode_corpus(TokensConfig(), tmp_path / "corpus", tokenizer_dir, tmp_path / "out", QUIET)
    with pytest.raises(ConfigError, match="neither a corpus"):
        build_tokens(TokensConfig(), None, tokenizer_dir, tmp_path / "out", QUIET)
    (tmp_path / "tokens.json").write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        read_description(tmp_path)


def test_an_eod_id_that_ordinary_text_produces_is_refused(tmp_path: Path, tokenizer_dir: Path) -> None:
    """A tokenizer whose EOS is a common word's token cannot end documents."""
    broken = tmp_path / "tokenizer"
    shutil.copytree(tokenizer_dir, broken)
    config = json.loads((broken / "tokenizer_config.json").read_text())
    (broken / "tokenizer_config.json").write_text(json.dumps({**config, "eos_token": "a"}))
    write_shard(tmp_path / "00000.parquet", ["xyz", "zaz"], "lv", "s")
    with pytest.raises(InputError, match="in document s-00000-1 ordinary text encodes to the EOD id"):
        encode_shard(EncodeJob(tmp_path / "00000.parquet", tmp_path / "out" / "00000", broken))
    assert not files_of(tmp_path / "out")


def test_ids_beyond_the_type_of_the_shards_are_refused(tmp_path: Path, tokenizer_dir: Path) -> None:
    """A vocabulary with a hole in it, whose size says uint16 and whose ids do not."""
    write_shard(tmp_path / "00000.parquet", ["abc", "zaz"], "lv", "s")
    loaded = load(tokenizer_dir)
    ids, lengths = encoder(loaded, "tokenizers")(["abc", "zaz"])
    job = EncodeJob(tmp_path / "00000.parquet", tmp_path / "out", tokenizer_dir)
    names = pq.read_table(job.documents)["id"].combine_chunks()
    with pytest.raises(InputError, match=r"00000.parquet: id 65,867 does not fit uint16 shards, .* of 1,024"):
        _check_ids(ids + np.uint32(65_536), np.cumsum(lengths), names, loaded, job)


def test_the_id_type_follows_megatrons_limit() -> None:
    assert type_for(65_500).name == "uint16"
    assert type_for(65_501).name == "int32"
