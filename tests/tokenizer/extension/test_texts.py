from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from eurolm.errors import InputError
from eurolm.tokenizer.extension.texts import count, files_by_language


def test_every_format_gives_the_same_counts(tmp_path: Path) -> None:
    given = ["viens divi,\tdivi", "trīs  divi\n divi"]
    lines = "".join(json.dumps({"text": text, "source": "s"}) + "\n" for text in given).encode()
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress(lines))
    pq.write_table(pa.table({"text": given, "source": ["s", "s"]}), tmp_path / "d.parquet")
    counted = [count([path], " ") for path in sorted(tmp_path.iterdir())]
    assert all(text == counted[0] for text in counted)
    assert dict(counted[0].strings) == {" viens": 1, " divi,": 1, "\tdivi": 1, " trīs": 1, " divi": 2}
    assert counted[0].sources["s"].roots[" divi"] == 1448 == int(1024 * 2**0.5)
    assert counted[0].text_bytes == sum(len(text.encode()) for text in given)
    (tmp_path / "e.txt").write_text("viens divi,\tdivi\ntrīs  divi\n divi")
    assert set(count([tmp_path / "e.txt"], "").strings) == {"viens", " divi,", "\tdivi", "trīs", " divi", "divi"}


def test_records_without_text_and_rare_strings_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a b c d e f a b a a a"}\n{"title": "x"}\nnoise\n[1]\n')
    text = count([tmp_path / "a.jsonl"], "", limit=4)
    assert text.unreadable == 3
    assert text.told()["rare_strings_dropped"] == 7 == 11 - sum(text.strings.values())
    assert dict(text.strings) == {" a": 4}


@pytest.mark.parametrize("content", ["", '{"title": "x"}\n', '{"text": "  "}\n'])
def test_no_text_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(InputError, match="no text in there"):
        count([tmp_path / "a.jsonl"], "")


def test_files_are_found_by_language_and_named_when_they_are_not(tmp_path: Path) -> None:
    for name in ("lv/b.jsonl.zst", "lv/a.txt", "lv/deep/c.parquet", "lv/readme.md", "x.pdf", "et.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = files_by_language([f"lv={tmp_path}/lv", str(tmp_path / "et.txt"), f"lv={tmp_path}/lv/a.txt"])
    assert list(found) == ["lv", "und"]
    assert [path.name for path in found["lv"]] == ["a.txt", "b.jsonl.zst", "c.parquet"]
    for given, message in ((f"lv={tmp_path}/x.pdf", "does not tell its format"), (f"{tmp_path}/lv/none", "not exist")):
        with pytest.raises(InputError, match=message):
            files_by_language([given])
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="no column `text`, only body"):
        count([tmp_path / "x.parquet"], "")
