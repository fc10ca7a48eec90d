from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tests.tokens.small_corpus import write_shard

from eurolm.errors import InputError
from eurolm.tokenizer.scoring import texts as module
from eurolm.tokenizer.scoring.texts import read_frequent, read_parallel, read_texts

RECORDS = [
    {"text": "viens", "lang": "lv", "group": "a"},
    {"text": "kaks", "language": "et", "doc": "b"},
    {"text": "divi\n", "lang": "lv", "group": "a"},
    {"text": " \n", "lang": "lv"},
]
JSONL = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()


def jsonl(path: Path) -> Path:
    data = {".zst": zstandard.compress, ".gz": gzip.compress}.get(path.suffix, bytes)(JSONL)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.jsonl.gz"])
def test_records_say_their_language_and_group_and_blank_ones_are_none(tmp_path: Path, name: str) -> None:
    found = read_texts([str(jsonl(tmp_path / name))])
    assert list(found) == ["et", "lv"]
    assert found["lv"].texts == ["viens", "divi\n"]
    assert found["lv"].groups == ["a", "a"]
    assert found["et"].groups == ["b"]
    assert (found["lv"].bytes, found["lv"].full) == (10, False)
    assert list(read_texts([f"ltg={tmp_path / name}"])) == ["ltg"], "the option goes before the records"


def test_blocks_of_a_text_file_are_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffviens\r\ndivi\r\n\r\n \ntrīs".encode())
    found = read_texts([f"lv={path}"])["lv"]
    assert found.texts == ["viens\ndivi", "trīs"]
    assert len(set(found.groups)) == 2


def test_parquet_a_corpus_and_a_run_are_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "language": ["lv", "et"]}), tmp_path / "x.parquet")
    assert list(read_texts([str(tmp_path / "x.parquet")])) == ["et", "lv"]
    write_shard(tmp_path / "run/corpus/heldout/lv/s.parquet", ["viens", "divi"], "lv", "s")
    for place in (tmp_path / "run", tmp_path / "run" / "corpus"):
        assert read_texts([str(place)])["lv"].texts == ["viens", "divi"]
    with pytest.raises(InputError, match="no held-out text"):
        read_texts([str(tmp_path)])


def test_no_more_than_enough_is_read_and_that_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 12)
    path = tmp_path / "a.txt"
    path.write_text("viens\n\ndivi\n\ntrīs\n\nčetri\n\npieci\n")
    found = read_texts([f"lv={path}", f"lv={path}"])["lv"]
    assert found.texts == ["viens", "divi", "trīs"]
    assert found.full


def test_parallel_columns_are_languages_and_incomplete_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_text("id\tlv\tet\tdoc\n1\tviens\tüks\tx\n2\tdivi\t\ty\n3\ttrīs\tkolm\tx\n")
    found = read_parallel(str(path))
    assert found.rows == {"lv": ["viens", "trīs"], "et": ["üks", "kolm"]}
    assert (found.groups, found.incomplete) == (["x", "x"], 1)
    assert {code: texts.texts for code, texts in found.texts().items()} == found.rows
    lines = [{"id": "1", "en": "one", "lv": "viens", "note": "?"}, {"id": "2", "en": "two", "lv": "divi"}]
    other = tmp_path / "p.jsonl"
    other.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(read_parallel(str(other)).rows) == ["en", "lv"]
    assert list(read_parallel(f"lv,en={other}").rows) == ["lv", "en"]
    with pytest.raises(InputError, match=r"columns id, en, lv, note.*et is not among them"):
        read_parallel(f"lv,et={other}")


def test_a_word_list_is_the_first_column(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("un\t3823\nir\t1726\n\n")
    assert read_frequent([f"lv={tmp_path / 'w.txt'}"]) == {"lv": ["un", "ir"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"text", r"does not say which language.*--text lv="),
        ("a.jsonl", b'{"text": "x"}\n', "does not say which language"),
        ("a.jsonl", b'{"text": "x"\n', r"a\.jsonl:1: not JSON"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl:1: a JSON object is wanted"),
        ("a.jsonl", b'{"lang": "lv"}\n', "no field `text`"),
        ("a.jsonl", b"", "holds no text"),
        ("a.txt", b"\xff\xfe", r"a\.txt:1: the line is not UTF-8"),
        ("a.parquet", b"x", "cannot be read as Parquet"),
        ("a.pdf", b"x", "is none of .txt, .jsonl"),
    ],
)
def test_files_that_are_no_text_are_refused_by_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_texts([str(path)])
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("given", ["nowhere.txt", "lv=nowhere.txt"])
def test_a_missing_file_is_named(given: str) -> None:
    with pytest.raises(InputError, match=r"nowhere.txt does not exist"):
        read_texts([given])


@pytest.mark.parametrize(("content", "message"), [("", "no rows"), ("lv\tet\nviens\t\n", "no row has text in all")])
def test_parallel_text_without_a_complete_row_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "p.tsv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_parallel(str(path))
