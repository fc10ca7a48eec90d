"""Broken, missing and empty input stops the stage with a message that names file or setting; a little is counted."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tests.corpus.building import all_documents, build, config, jsonl, report, sample, write_source

from eurolm.errors import ConfigError, InputError

GOOD = sample("et_riigikogu_bill_summaries", 300)
ONE = [{"name": "a", "paths": ["a.jsonl"]}]


@pytest.mark.parametrize("suffix", ["zst", "gz"])
@pytest.mark.parametrize("cut", [5, 3000])
def test_truncated_stream(tmp_path: Path, suffix: str, cut: int) -> None:
    path = write_source(tmp_path / f"cut.jsonl.{suffix}", GOOD)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(InputError, match=rf"cut\.jsonl\.{suffix} is truncated"):
        build(tmp_path, config([{"name": "a", "paths": [path.name]}]))


def test_damaged_stream(tmp_path: Path) -> None:
    path = write_source(tmp_path / "a.jsonl.zst", GOOD)
    data = bytearray(path.read_bytes())
    data[4:40] = b"x" * 36
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.jsonl\.zst is damaged"):
        build(tmp_path, config([{"name": "a", "paths": [path.name]}]))


def test_several_frames_are_one_file(tmp_path: Path) -> None:
    halves = [zstandard.ZstdCompressor().compress(jsonl(part)) for part in (GOOD[:100], GOOD[100:200])]
    (tmp_path / "a.jsonl.zst").write_bytes(b"".join(halves))
    out = build(tmp_path, config([{"name": "a", "paths": ["a.jsonl.zst"]}]))
    assert report(out)["sources"]["a"]["read"] == 200


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (b'{"id": "x", "text": "\xff\xfe"}', "invalid UTF-8"),
        (b'{"id": "x", "text": ', "invalid JSON"),
        (b'"only a string"', "invalid JSON"),
        (b'{"id": "x", "text": "\\ud800"}', "invalid JSON"),
        (b'{"id": "x", "text": null}', "no text"),
        (b'{"id": "x", "text": 7}', "text is not a string"),
    ],
)
def test_invalid_records_are_counted_up_to_the_share(tmp_path: Path, bad: bytes, cause: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl([*GOOD[:200], bad, *GOOD[200:299]]))
    out = build(tmp_path, config(ONE, max_invalid_share=1 / 300))
    entry = report(out)["sources"]["a"]
    assert (entry["invalid"], entry["invalid_causes"], entry["read"]) == (1, {cause: 1}, 299)
    assert entry["first_invalid"].startswith(f"{cause} at a.jsonl, byte ")
    with pytest.raises(InputError, match=r"a\.jsonl: 1 of 300 records are invalid .* corpus\.max_invalid_share"):
        build(tmp_path, config(ONE, max_invalid_share=0.003), "strict")


def test_invalid_utf8_in_text_files(tmp_path: Path) -> None:
    texts = [record["text"].replace("\n", " ").encode() for record in GOOD[:99]]
    (tmp_path / "a.txt").write_bytes(b"\n".join([*texts, b"katki \xff tekst"]))
    source = {"name": "a", "paths": ["a.txt"], "text_unit": "line"}
    out = build(tmp_path, config([source], max_invalid_share=0.01))
    assert report(out)["sources"]["a"]["invalid_causes"] == {"invalid UTF-8": 1}


def test_invalid_utf8_in_parquet(tmp_path: Path) -> None:
    column = pa.array([record["text"].encode() for record in GOOD[:99]] + [b"katki \xff"], pa.binary())
    broken = pa.StringArray.from_buffers(len(column), *column.buffers()[1:])
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    out = build(tmp_path, config([{"name": "a", "paths": ["a.parquet"]}], max_invalid_share=0.01))
    assert report(out)["sources"]["a"]["invalid"] == 1
    assert report(out)["sources"]["a"]["read"] == 99


def test_wrong_text_field_is_an_error_at_once(tmp_path: Path) -> None:
    write_source(tmp_path / "a.jsonl", [{"id": r["id"], "body": r["text"]} for r in GOOD])
    with pytest.raises(InputError, match=r"none of the first 300 records is a document.*fields\.text.*'text'"):
        build(tmp_path, config(ONE, max_invalid_share=0.9))
    out = build(tmp_path, config([ONE[0] | {"fields": {"text": "body"}}]), "mapped")
    assert len(all_documents(out)) > 200
    write_source(tmp_path / "a.parquet", [{"body": r["text"]} for r in GOOD])
    with pytest.raises(InputError, match=r"a\.parquet has no column 'text'; it has body"):
        build(tmp_path, config([{"name": "a", "paths": ["a.parquet"]}]), "parquet")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"paths": ["none/*.jsonl"]}, r"none/\*\.jsonl matches no file"),
        ({"paths": ["."]}, "is a directory"),
        ({"paths": ["a.csv"]}, "does not tell its format"),
        ({"paths": ["empty.jsonl"]}, "hold no document"),
        ({"paths": ["empty.jsonl.zst"]}, "hold no document"),
        ({"paths": ["empty.parquet"]}, "hold no document"),
        ({"paths": ["not.parquet"]}, r"not\.parquet cannot be read as Parquet"),
        ({"paths": ["package:corpus/sample/none.jsonl.zst"]}, "matches no file"),
    ],
)
def test_files_that_cannot_be_a_source(tmp_path: Path, source: dict[str, object], expected: str) -> None:
    for name in ("a.csv", "empty.jsonl", "empty.jsonl.zst"):
        (tmp_path / name).write_bytes(b"")
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    (tmp_path / "not.parquet").write_bytes(b"PAR1 no, it is not")
    with pytest.raises(InputError, match=expected):
        build(tmp_path, config([{"name": "a"} | source]))


def test_empty_corpus_says_what_dropped_everything(tmp_path: Path) -> None:
    write_source(tmp_path / "a.jsonl", GOOD)
    with pytest.raises(InputError, match=r"no document is left in the corpus: 300 read.*dropped by rule: language 300"):
        build(tmp_path, config([ONE[0] | {"language": "lv"}]))
    assert not (tmp_path / "out" / "report.json").exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sources": []}, r"corpus\.sources is empty"),
        ({"languages": {}}, r"corpus\.languages is empty"),
        ({"languages": {"vro": {}}}, "vro, which the language detector"),
        ({"sources": [ONE[0] | {"language": "lt"}]}, "language = lt has no rules"),
        ({"sources": ONE * 2}, "has a more than once"),
    ],
)
def test_settings_that_would_drop_everything(tmp_path: Path, changes: dict[str, object], expected: str) -> None:
    write_source(tmp_path / "a.jsonl", GOOD[:5])
    with pytest.raises(ConfigError, match=expected):
        build(tmp_path, config(**{"sources": ONE} | changes))


def test_odd_text_passes_through_unharmed(tmp_path: Path) -> None:
    plain = GOOD[0]["text"]
    decomposed = plain.replace("õ", "o\u0303").replace("ä", "a\u0308")
    assert decomposed != plain
    odd = [{"id": "nul", "text": "\0".join(sample("lv_eltec", 1)[0]["text"].split(" ", 1))}]
    odd += [{"id": "crlf", "text": decomposed.replace("\n", "\r\n")}, {"id": "blank", "text": " \n\t"}]
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + jsonl([*odd, b"", b"   "]))
    out = build(tmp_path, config(ONE, heldout={"share": 0}))
    kept = {document.meta: document.text for document in all_documents(out)}
    assert kept == {'{"id":"nul"}': odd[0]["text"], '{"id":"crlf"}': plain}
    assert report(out)["sources"]["a"]["skipped"] == {"empty text": 1}


def test_what_is_no_error_is_warned_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_source(tmp_path / "a.jsonl", GOOD)
    write_source(tmp_path / "b.jsonl", sample("noise")[-20:])
    sources = [{"name": name, "paths": [f"{name}.jsonl"]} for name in "ab"]
    build(tmp_path, config(sources, heldout={"share": 1e-9}))
    shown = " ".join(capfd.readouterr().err.split())
    assert "corpus source b gave no training document: dropped by" in shown
    assert "no document is in lv, which corpus.languages names" in shown
    assert "no document in et is held out" in shown


@pytest.mark.parametrize(("unit", "expected"), [("document", 1), ("paragraph", 3), ("line", 6)])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_units_of_text_files(tmp_path: Path, unit: str, expected: int, ending: str) -> None:
    sentences = [record["text"] for record in sample("et_common_voice", 6)]
    blocks = [f"{one}\n{two}" for one, two in zip(sentences[::2], sentences[1::2], strict=True)]
    (tmp_path / "a.txt").write_bytes("\n\n \n".join(blocks).replace("\n", ending).encode())
    source = {"name": "a", "paths": ["*.txt"], "text_unit": unit, "verbatim": True}
    out = build(tmp_path, config([source], heldout={"share": 0}))
    texts = [document.text for document in all_documents(out)]
    assert len(texts) == expected
    whole = {"document": ["\n\n \n".join(blocks)], "paragraph": blocks, "line": sentences}
    assert texts == whole[unit]
