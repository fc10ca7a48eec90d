"""What the formats share: one text in any of them, wrong field names, groups, odd values, units."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.building import jsonl, sample, write_source
from tests.corpus.sources.reading import read, total

from eurolm.errors import ConfigError, InputError

GOOD = sample("lv_likumi", 120)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
@pytest.mark.parametrize("part_bytes", [10_000_000, 150_000])
def test_formats_give_the_same_documents(tmp_path: Path, name: str, part_bytes: int) -> None:
    write_source(tmp_path / name, GOOD)
    frame, tallies = read(tmp_path, {"paths": [name]}, part_bytes)
    write_source(tmp_path / "reference.jsonl", GOOD)
    reference, _ = read(tmp_path, {"paths": ["reference.jsonl"]})
    assert frame.equals(reference)
    assert sum(tally.records for tally in tallies) == len(GOOD)
    assert frame["text"].to_list() == [record["text"] for record in GOOD]


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for place, name in enumerate(["c", "a", "b"]):
        write_source(tmp_path / f"{name}.jsonl", GOOD[place * 40 : place * 40 + 40])
    listed, _ = read(tmp_path, {"paths": ["c.jsonl", "b.jsonl", "a.jsonl"]})
    globbed, _ = read(tmp_path, {"paths": ["*.jsonl", "c.jsonl"]})
    assert listed.equals(globbed)
    assert len(listed) == 120


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.txt"])
@pytest.mark.parametrize("field", ["license", "url", "date", "group", "register", "id"])
def test_a_mapped_field_that_no_record_has_is_an_error(tmp_path: Path, name: str, field: str) -> None:
    write_source(tmp_path / name, [{"text": record["text"]} for record in GOOD])
    assert len(read(tmp_path, {"paths": [name]})[0]) > 0
    with pytest.raises(
        InputError, match=rf"corpus source a: fields\.{field} = 'lisence', but no record has that field"
    ):
        read(tmp_path, {"paths": [name], "fields": {field: "lisence"}})


def test_a_mapped_field_may_be_missing_from_most_records(tmp_path: Path) -> None:
    records = [*GOOD[:-1], GOOD[-1] | {"rights": "CC0-1.0"}]
    write_source(tmp_path / "a.jsonl", records)
    frame, tallies = read(tmp_path, {"paths": ["a.jsonl"], "fields": {"license": "rights"}}, 100_000)
    assert frame["license"].to_list() == [None] * 119 + ["CC0-1.0"]
    assert len(tallies) > 2


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"paths": []},
        {"paths": ["a.jsonl"], "dataset": "a/b"},
        {"dataset": "a/b", "format": "jsonl", "revision": "1"},
    ],
)
def test_a_source_is_paths_or_a_dataset(tmp_path: Path, source: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="corpus source a: "):
        read(tmp_path, source)


def test_sites_are_not_split_unless_somebody_says_so(tmp_path: Path) -> None:
    records = [{"text": r["text"], "url": f"https://www.s{n % 30}.co.uk/{n}"} for n, r in enumerate(GOOD)]
    write_source(tmp_path / "a.jsonl", records)
    source = {"paths": ["a.jsonl"]}
    with pytest.raises(InputError, match=r"no group and come from many sites \(s0\.co\.uk, .*group_by: domain"):
        read(tmp_path, source)
    by_domain, _ = read(tmp_path, source | {"group_by": "domain"})
    assert by_domain["group"].to_list() == [f"s{n % 30}.co.uk" for n in range(120)]
    by_field, _ = read(tmp_path, source | {"group_by": "field"})
    assert by_field["group"].null_count() == 120
    read(tmp_path, source, heldout={"share": 0})
    few = [record | {"url": f"https://riigiteataja.ee/{n}"} for n, record in enumerate(records)]
    write_source(tmp_path / "a.jsonl", few)
    assert read(tmp_path, source)[0]["group"].null_count() == 120
    write_source(tmp_path / "a.jsonl", [record | {"group": "g"} for record in records])
    assert read(tmp_path, source)[0]["group"].unique().to_list() == ["g"]


def test_values_of_any_type_become_text(tmp_path: Path) -> None:
    day = datetime.datetime(2024, 2, 3, 4, 5, 6)
    table = pa.table(
        {
            "text": ["Tere!", "Sveiki!"],
            "id": [7, None],
            "date": pa.array([day, None], pa.timestamp("s")),
            "when": pa.array([1, 2], pa.timestamp("ns")),
            "day": pa.array([10**6, -(10**6)], pa.date32()),
            "took": pa.array([5, 6], pa.duration("ns")),
            "score": [0.5, float("nan")],
            "spans": [[1, 2], []],
            "raw": [b"\xff", b""],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    frame, _ = read(tmp_path, {"paths": ["a.parquet"]})
    assert frame["date"].to_list() == ["2024-02-03 04:05:06.000", None]
    meta = json.loads(frame["meta"][0])
    assert meta == {
        "id": 7, "when": "1970-01-01 00:00:00.000000001", "day": "4707-11-29", "took": 5, "score": 0.5
    }  # fmt: skip


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELD = st.sampled_from(["text", "id", "url", "date", "license", "group", "register", "language", "x"])
LINE = st.one_of(
    st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")),
    st.dictionaries(FIELD, JSON, max_size=6).map(lambda record: json.dumps(record).encode()),
    st.sampled_from(
        [b'{"text": "\\ud800"}', b'{"text": "a\\u0000b"}', b'{"text":' + b"[" * 5000, b"\xef\xbb\xbf", b"NaN"]
    ),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(LINE, max_size=12))
def test_any_line_is_a_document_invalid_or_skipped(
    tmp_path_factory: pytest.TempPathFactory, found: list[bytes]
) -> None:
    base = tmp_path_factory.getbasetemp()
    (base / "fuzz.jsonl").write_bytes(jsonl([*found, {"text": "Tere!"}]))
    frame, tallies = read(base, {"paths": ["fuzz.jsonl"]})
    blank = sum(not line.removesuffix(b"\r").strip() for line in found)
    if not any(line.startswith(b"\xef\xbb\xbf") for line in found):
        counted = len(frame) + sum(total(tallies, "invalid").values()) + sum(total(tallies, "skipped").values())
        assert counted == len(found) + 1 - blank
    for text in frame["text"]:
        text.encode()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_parquet_file_is_an_error_or_a_count(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = write_source(tmp_path_factory.getbasetemp() / "fuzz.parquet", GOOD[:40])
    whole = bytearray(path.read_bytes())
    cut = data.draw(st.integers(0, len(whole)) | st.just(len(whole)))
    place = data.draw(st.integers(0, len(whole) - 9))
    whole[place : place + 8] = data.draw(st.binary(min_size=8, max_size=8))
    path.write_bytes(whole[:cut])
    try:
        frame, tallies = read(path.parent, {"paths": ["fuzz.parquet"]})
    except InputError as error:
        assert "fuzz.parquet" in str(error) or "fields.text" in str(error)
    else:
        assert len(frame) + sum(total(tallies, "invalid").values()) + sum(total(tallies, "skipped").values()) >= 0
        assert all(text.encode() for text in frame["text"])


def test_planning_holds_no_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl([{"text": "a"}, {"text": "b" * 300_000}, {"text": "c"}]))
    frame, tallies = read(tmp_path, {"paths": ["a.jsonl"]}, part_bytes=1000)
    assert frame["text"].str.len_chars().to_list() == [1, 300_000, 1]
    assert len(tallies) == 2
