"""Licences and opt-outs: what a list covers, in any spelling, and what cannot be a list."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.building import config

from eurolm.config.corpus import OptOutConfig
from eurolm.corpus.permissions import OptOutLists, refusals
from eurolm.errors import InputError


def lists(base: Path, domains: str = "", prefixes: str = "") -> OptOutLists:
    names = {}
    for name, text in (("domains", domains), ("url_prefixes", prefixes)):
        if text:
            (base / name).write_text(text)
            names[name] = [base / name]
    return OptOutLists.load(OptOutConfig(**names))


def refused(found: OptOutLists, urls: list[str | None]) -> list[str | None]:
    frame = pl.DataFrame({"license": [None] * len(urls), "url": urls}, schema={"license": pl.String, "url": pl.String})
    rule, value = refusals(frame, config([]), found)
    assert set(rule.drop_nulls()) <= {"opt_out"}
    assert rule.is_null().equals(value.is_null())
    return value.to_list()


def test_domains_cover_subdomains_in_any_spelling(tmp_path: Path) -> None:
    found = lists(tmp_path, "# collected 2026-11-01\n\nDelfi.lv\n*.Postimees.EE.\nwww.põhja.ee\n  sub.example.com  \n")
    covered = {
        "https://delfi.lv/a": "delfi.lv",
        "HTTP://WWW.RUS.DELFI.LV:8080/x": "delfi.lv",
        "//m.delfi.lv": "delfi.lv",
        "user:word@delfi.lv/x": "delfi.lv",
        "delfi.lv./x": "delfi.lv",
        "https://arvamus.postimees.ee": "postimees.ee",
        "https://www.põhja.ee/": "xn--phja-0qa.ee",
        "https://uus.XN--PHJA-0QA.ee/": "xn--phja-0qa.ee",
        "https://a.sub.example.com?x=1": "sub.example.com",
    }
    assert refused(found, list(covered)) == list(covered.values())
    free = ["https://notdelfi.lv/", "https://delfi.lv.example/", "https://x.lv/?u=https://delfi.lv", "https://lv/", "",
            "https://example.com/sub.example.com", "urn:uuid:1", "ei ole URL", "https://delfi.lt/", None]  # fmt: skip
    assert refused(found, free) == [None] * len(free)


def test_prefixes_in_any_spelling(tmp_path: Path) -> None:
    found = lists(tmp_path, prefixes="https://Example.lv/Blogs/\nexample.lv/žurnāls\nwww.blog.ee\nexample.lv/Blogs/1\n")
    covered = {
        "http://www.example.lv/Blogs/a": "example.lv/Blogs/",
        "example.lv:80/Blogs/": "example.lv/Blogs/",
        "https://example.lv/%C5%BEurn%C4%81ls/3": "example.lv/žurnāls",
        "https://blog.ee": "blog.ee/",
        "https://blog.ee?page=2": "blog.ee/",
    }
    assert refused(found, list(covered)) == list(covered.values())
    free = [
        "https://example.lv/blogs/",
        "https://example.lv/Blogs",
        "https://a.example.lv/Blogs/",
        "https://blog.ee.com/",
    ]
    assert refused(found, free) == [None] * len(free)


HOST = st.lists(st.sampled_from(["a", "b", "lv", "ee", "www"]), min_size=1, max_size=4).map(".".join)
PATH = st.text(st.sampled_from("ab/?"), max_size=4)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(HOST.filter(lambda h: "." in h), min_size=1),
    st.lists(st.tuples(HOST, PATH)),
    st.lists(st.tuples(HOST, PATH)),
)
def test_lists_match_as_told_simply(
    tmp_path_factory: pytest.TempPathFactory,
    domains: list[str],
    prefixes: list[tuple[str, str]],
    pages: list[tuple[str, str]],
) -> None:
    def plain(host: str) -> str:
        return host.removeprefix("www.")

    domains = [host for host in domains if "." in plain(host)] or ["a.lv"]
    starts = [(host, path) for host, path in prefixes if "." in plain(host)] or [("a.ee", "/x")]
    found = lists(
        tmp_path_factory.getbasetemp(), "\n".join(domains), "\n".join(f"https://{host}/{path}" for host, path in starts)
    )
    expected = [
        any(plain(host) == plain(one) or plain(host).endswith(f".{plain(one)}") for one in domains)
        or any(f"{plain(host)}/{path}".startswith(f"{plain(one)}/{start}") for one, start in starts)
        for host, path in pages
    ]
    answers = refused(found, [f"http://{host}/{path}" for host, path in pages])
    assert [answer is not None for answer in answers] == expected


def test_licenses() -> None:
    names = ["CC-BY-4.0", "cc-by-sa-3.0", "CC-BY-NC-4.0", "proprietary", None]
    frame = pl.DataFrame({"license": names, "url": [None] * 5}, schema={"license": pl.String, "url": pl.String})
    nothing = OptOutLists.load(OptOutConfig())

    def judged(**licenses: list[str]) -> list[str | None]:
        rule, value = refusals(frame, config([], licenses=licenses), nothing)
        assert [name == "license" for name in rule] == [one is not None for one in value]
        return value.to_list()

    assert judged() == [None] * 5
    assert judged(deny=["*-NC-*"]) == [None, None, "CC-BY-NC-4.0: denied by *-NC-*", None, None]
    assert judged(allow=["cc-by*"], deny=["*nc*"]) == [
        None, None, "CC-BY-NC-4.0: denied by *nc*", "proprietary: not allowed", "no license: not allowed",
    ]  # fmt: skip


def test_a_license_is_told_before_an_opt_out(tmp_path: Path) -> None:
    frame = pl.DataFrame({"license": ["x", "y"], "url": ["https://a.lv/"] * 2})
    rule, value = refusals(frame, config([], licenses={"deny": ["x"]}), lists(tmp_path, "a.lv"))
    assert rule.to_list() == ["license", "opt_out"]
    assert value.to_list() == ["x: denied by x", "a.lv"]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("domains", b"", r"corpus\.opt_out\.domains, has no entry in its 0 lines and would match nothing"),
        ("domains", b"# nothing\n\n", "has no entry in its 2 lines"),
        ("domains", b"a.lv\nhttps://b.lv/x\n", r"domains:2: 'https://b.lv/x' is not a domain"),
        ("domains", b"a.lv b.lv\n", "is not a domain"),
        ("domains", b"lv\n", "'lv' is not a domain"),
        ("domains", b"\x1f\x8b\xff\xfe\n", r"domains:1, named under corpus\.opt_out\.domains: not UTF-8"),
        ("url_prefixes", b"/blog/\n", "is not a URL prefix"),
        ("url_prefixes", b"a.lv/b c\n", "is not a URL prefix"),
        ("url_prefixes", b'{"url": "https://a.lv"}\n', "is not a URL prefix"),
        ("url_prefixes", None, "does not exist or is not a file"),
    ],
)
def test_what_is_no_list(tmp_path: Path, kind: str, text: bytes | None, expected: str) -> None:
    if text is not None:
        (tmp_path / kind).write_bytes(text)
    with pytest.raises(InputError, match=expected):
        OptOutLists.load(OptOutConfig(**{kind: [tmp_path / kind]}))


def test_lists_are_described(tmp_path: Path) -> None:
    lists(tmp_path, "a.lv\n# x\nb.lv\n")
    path = tmp_path / "domains"
    os.utime(path, (1_700_000_000, 1_700_000_000))
    described = OptOutLists.load(OptOutConfig(domains=[path])).describe()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert described == [
        {"path": str(path), "kind": "domains", "sha256": sha256, "date": "2023-11-14", "entries": 2}
    ]  # fmt: skip
