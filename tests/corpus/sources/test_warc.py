"""Web archives: the text of pages without what surrounds it, everything else counted, damage named."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import brotli
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.corpus.building import sample
from tests.corpus.sources.reading import (
    BANNER,
    FOOTER,
    LAYOUTS,
    MENU,
    http_response,
    read,
    response_record,
    total,
    warc_record,
    web_page,
)

from eurolm.corpus.sources import html
from eurolm.errors import InputError

SOURCE = {"paths": ["a.warc.gz"]}


def articles(name: str, count: int) -> list[list[str]]:
    """Documents of the sample as lists of at least four paragraphs."""
    texts = [record["text"] for record in sample(name)]
    found = [[line.strip() for line in text.split("\n") if line.strip()] for text in texts]
    return [lines[:30] for lines in found if len(lines) > 3][:count]


def archive(path: Path, records: list[bytes]) -> Path:
    path.write_bytes(b"".join(gzip.compress(record, 1, mtime=0) for record in records))
    return path


def site(host: str, pages: list[bytes]) -> list[bytes]:
    return [response_record(f"https://{host}/{place}", page) for place, page in enumerate(pages)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("language", "name"), [("lv", "lv_likumi"), ("et", "et_riigi_teataja")])
def test_main_text_keeps_every_paragraph_and_no_menu(tmp_path: Path, layout: str, language: str, name: str) -> None:
    chosen = articles(name, 12)
    pages = [web_page(language, layout, lines[0], lines[1:]).encode() for lines in chosen]
    archive(tmp_path / "a.warc.gz", site("www.ajakiri.ee", pages))
    frame, _ = read(tmp_path, SOURCE)
    assert len(frame) == len(chosen) >= 5
    for text, lines in zip(frame["text"], chosen, strict=True):
        for line in lines:
            assert " ".join(line.split()) in " ".join(text.split())
        assert BANNER[language] not in text
        assert FOOTER[language] not in text
        assert sum(item in text.split("\n") for item in MENU[language]) == 0


def test_fields_of_a_page(tmp_path: Path) -> None:
    page = web_page("et", "semantic", "Pealkiri", ["Esimene lõik on siin.", "Teine lõik on seal."]).encode()
    hosts = ["www.delfi.ee", "m.delfi.ee", "postimees.ee"]
    archive(tmp_path / "a.warc.gz", [record for host in hosts for record in site(host, [page])])
    frame, _ = read(tmp_path, SOURCE)
    assert frame["url"].to_list() == [f"https://{host}/0" for host in hosts]
    assert frame["group"].to_list() == ["delfi.ee", "delfi.ee", "postimees.ee"]
    assert frame["date"].to_list() == ["2024-02-03T04:05:06Z"] * 3
    assert frame["id"].n_unique() == 3
    by_field, _ = read(tmp_path, SOURCE | {"group_by": "field"})
    assert by_field["group"].null_count() == 3


TEXT = "Šķērsielas žagari ūdenī. Kāpēc ķēve ņēma līdzi čiekurus un ģitāru? Visi to zina, bet neviens nesaka."


@pytest.mark.parametrize(
    ("encoding", "header", "meta"),
    [
        ("utf-8", "text/html; charset=UTF-8", "utf-8"),
        ("utf-8", "text/html", "utf-8"),
        ("cp1257", "text/html; charset=windows-1257", "utf-8"),
        ("cp1257", "text/html", "windows-1257"),
        ("iso8859-13", "text/html; charset=iso-8859-13", "x"),
        ("utf-8", "text/html; charset=iso-8859-99", "utf-16"),
        ("cp1257", "text/html; charset=utf-8", "windows-1257"),
        ("utf-8-sig", "text/html; charset=iso-8859-1", "iso-8859-1"),
    ],
)
def test_encoding_by_header_then_page_then_what_the_bytes_are(
    tmp_path: Path, encoding: str, header: str, meta: str
) -> None:
    page = web_page("lv", "semantic", "Virsraksts", [TEXT] * 3, charset=meta).encode(encoding, errors="ignore")
    archive(tmp_path / "a.warc.gz", [response_record("http://a.lv/", page, kind=header)])
    frame, _ = read(tmp_path, SOURCE)
    assert TEXT in frame["text"][0]


def chunked(data: bytes) -> bytes:
    return (
        b"".join(b"%x;a=b\r\n%s\r\n" % (len(data[i : i + 90]), data[i : i + 90]) for i in range(0, len(data), 90))
        + b"0\r\n\r\n"
    )


def test_transfer_and_content_encodings(tmp_path: Path) -> None:
    page = web_page("lv", "semantic", "Virsraksts", [TEXT] * 3).encode()
    deflate = gzip.zlib.compress(page)
    stored = [
        (chunked(page), "Transfer-Encoding: chunked"),
        (chunked(gzip.compress(page)), "Transfer-Encoding: chunked\r\nContent-Encoding: gzip"),
        (gzip.compress(page), "Content-Encoding: gzip"),
        (brotli.compress(page), "Content-Encoding: br"),
        (deflate, "Content-Encoding: deflate"),
        (deflate[2:-4], "Content-Encoding: deflate"),
        # Crawlers that store the decoded page and keep the header.
        (page, "Transfer-Encoding: chunked"),
        (page, "Content-Encoding: gzip"),
        (page, "Content-Encoding: br"),
    ]
    archive(tmp_path / "a.warc.gz", [response_record(f"http://a.lv/{n}", *one) for n, one in enumerate(stored)])
    frame, _ = read(tmp_path, SOURCE)
    assert len(frame) == len(stored)
    assert frame["text"].n_unique() == 1


def test_everything_else_is_skipped_by_cause(tmp_path: Path) -> None:
    page = web_page("lv", "semantic", "Virsraksts", [TEXT]).encode()
    records = [
        warc_record("warcinfo", b"software: x"),
        warc_record("request", b"GET / HTTP/1.1\r\n\r\n", WARC_Target_URI="http://a.lv/"),
        response_record("http://a.lv/", page),
        response_record("http://a.lv/404", page, status="404 Not Found"),
        response_record("http://a.lv/a.pdf", b"%PDF", kind="application/pdf"),
        response_record("http://a.lv/empty", b""),
        warc_record("response", b"20240101 93.184.216.34", WARC_Target_URI="dns:a.lv", Content_Type="text/dns"),
        warc_record("metadata", b"fetchTimeMs: 3"),
        warc_record("revisit", b""),
        warc_record("somethingnew", b"x"),
        response_record("http://a.lv/long", b"<p>" + b"a " * (html.MAX_PAGE_BYTES // 2)),
    ]
    archive(tmp_path / "a.warc.gz", records)
    frame, tallies = read(tmp_path, SOURCE)
    assert len(frame) == 1
    assert total(tallies, "invalid") == {}
    assert total(tallies, "skipped") == {
        "warcinfo record": 1,
        "request record": 1,
        "HTTP status 4xx": 1,
        "response that is not HTML": 1,
        "page without main text": 1,
        "response without HTTP": 1,
        "metadata record": 1,
        "revisit record": 1,
        "other record": 1,
        "page longer than 8 MiB": 1,
    }


@pytest.mark.parametrize("name", ["a.warc.gz", "a.warc", "whole.warc.gz"])
def test_parts_hold_every_page_once(tmp_path: Path, name: str) -> None:
    noise = os.urandom(200_000)
    records = []
    for place, lines in enumerate(articles("lv_likumi", 20) + articles("et_riigi_teataja", 20)):
        page = web_page("lv", "semantic", lines[0], lines[1:]).encode()
        records += [
            response_record(f"http://a.lv/{place}", page),
            response_record("http://a.lv/i", noise, kind="image/png"),
        ]
    if name == "a.warc.gz":
        archive(tmp_path / name, records)
    else:
        joined = b"".join(records)
        (tmp_path / name).write_bytes(joined if name == "a.warc" else gzip.compress(joined, 1))
    whole, _ = read(tmp_path, {"paths": [name]})
    parts, tallies = read(tmp_path, {"paths": [name]}, part_bytes=100_000)
    assert len(tallies) > 5
    assert parts.equals(whole)
    assert len(whole) == len(records) // 2
    assert total(tallies, "skipped") == {"response that is not HTML": len(whole)}


def test_damage_names_the_file(tmp_path: Path) -> None:
    page = web_page("lv", "semantic", "Virsraksts", [TEXT]).encode()
    data = b"".join(site("a.lv", [page, page]))
    last = data.rindex(b"Content-Length: ")
    cases = {
        "is truncated: 20 bytes of its last record": data[: -len(b"\r\n\r\n") - 20],
        "no whole WARC header begins here": data[: last + 9],
        "Content-Length 'x'": data[:last] + b"Content-Length: x\r\n\r\n",
        "Content-Length '-5'": data[:last] + b"Content-Length: -5\r\n\r\n",
        "is truncated: 999999999999 ": data[:last] + b"Content-Length: 999999999999\r\n\r\n",
        f"byte {len(data)}: no whole": data + b"<html>",
        "byte 2: no whole WARC header": b"\n\n<html>not an archive</html>" * 9000,
    }
    for expected, broken in cases.items():
        (tmp_path / "a.warc").write_bytes(broken)
        with pytest.raises(InputError) as raised:
            read(tmp_path, {"paths": ["a.warc"]})
        assert str(tmp_path / "a.warc") in str(raised.value)
        assert expected in str(raised.value).replace(",", "")
    whole = gzip.compress(data)
    (tmp_path / "a.warc.gz").write_bytes(whole[:-9])
    with pytest.raises(InputError, match=r"a\.warc\.gz is truncated"):
        read(tmp_path, SOURCE)


def test_names_in_an_archive_write_no_file(tmp_path: Path) -> None:
    page = web_page("lv", "semantic", "Virsraksts", [TEXT]).encode()
    (tmp_path / "work").mkdir()
    names = [
        "../../etc/passwd",
        "file:///etc/cron.d/x",
        f"{tmp_path}/outside.txt",
        "http://a.lv/../../x\0y",
        "..\\..\\x",
    ]
    records = [
        warc_record("response", http_response(page), WARC_Target_URI=name, WARC_Filename=name, WARC_Record_ID=name)
        for name in names
    ]
    records += [warc_record("resource", b"x", WARC_Target_URI=name, WARC_Filename=name) for name in names]
    archive(tmp_path / "work" / "a.warc.gz", records)
    frame, _ = read(tmp_path / "work", SOURCE)
    assert frame["url"].to_list() == names
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.warc.gz", "work"]


def test_pages_that_would_stall_the_parser_are_skipped(tmp_path: Path) -> None:
    filler = b"<p>" + TEXT.encode() * 600 + b"</p>"
    attributes = b" ".join(b"a%d=1" % number for number in range(100_000))
    pages = [
        b"<div>" * 100_000 + filler,
        b"<article><div>" * 50_000 + filler,
        b"<p " + attributes + b">" + filler,
        b"<div><p>x</p></div>" * 20_000 + filler,
        b"<p data-x='" + b"a" * 500_000 + b"'>" + filler,
    ]
    archive(tmp_path / "a.warc.gz", site("a.lv", pages))
    frame, tallies = read(tmp_path, SOURCE)
    assert len(frame) == 2
    assert total(tallies, "skipped") == {html.TOO_DEEP: 2, html.TOO_MANY_ATTRIBUTES: 1}


PIECES = [
    "<p>",
    "</p>",
    "<div class='a",
    "'>",
    "<!--",
    "-->",
    "<table><tr>",
    "\0",
    "&#xd800;",
    "õ",
    "<script>",
    "<svg>",
    "]]>",
    "<a href=",
    "</body>",
    "text ",
]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.binary(max_size=400), st.lists(st.sampled_from(PIECES), max_size=60).map(lambda p: "".join(p).encode())
    )
)
def test_any_page_gives_text(page: bytes) -> None:
    for charset in (None, "utf-8", "utf-16", "nonsense"):
        html.main_text(page, charset).encode()


@pytest.fixture(scope="module")
def small_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = web_page("lv", "semantic", "Virsraksts", [TEXT]).encode()
    return archive(tmp_path_factory.mktemp("fuzz") / "a.warc.gz", site("a.lv", [page, page, page]))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_archives_end_in_an_error_or_a_count(small_archive: Path, data: st.DataObject) -> None:
    whole = gzip.decompress(small_archive.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    patch = data.draw(st.binary(max_size=8))
    broken = small_archive.with_name("b.warc")
    broken.write_bytes(whole[:place] + patch + whole[place + len(patch) :][: data.draw(st.integers(0, 5000))])
    try:
        frame, tallies = read(broken.parent, {"paths": ["b.warc"]})
    except InputError as error:
        assert "b.warc" in str(error)
    else:
        assert len(frame) + sum(total(tallies, "skipped").values()) <= 3
