"""Hosts of URLs in one spelling, and the registered domains they belong to.

Hosts are lower case, without `www.`, internationalised names in ASCII form (`xn--…`). A registered domain is a host's
last label before its public suffix, with that suffix (`m.delfi.lv` → `delfi.lv`, `www.bbc.co.uk` → `bbc.co.uk`): the
Public Suffix List travels inside the package `publicsuffixlist`, whose version therefore determines groups.
"""

from __future__ import annotations

import functools
import re
from urllib.parse import unquote

import polars as pl
from publicsuffixlist import PublicSuffixList

_HOST = r"^(?:(?:[A-Za-z][A-Za-z0-9+.-]*:)?//)?(?:[^/?#@]*@)?([^/?#:\s]+)"
_ADDRESS = re.compile(r"\d+(\.\d+){3}")


def hosts(urls: pl.Series) -> pl.Series:
    """Host of each URL (String; null where there is none); the scheme may be missing."""
    found = urls.str.extract(_HOST).str.to_lowercase().str.strip_chars_end(".").str.strip_prefix("www.")
    foreign = found.filter(~found.str.contains(r"^[\x00-\x7f]*$").fill_null(True)).unique().to_list()
    return found.replace(foreign, [ascii_host(host) for host in foreign]) if foreign else found


def ascii_host(host: str) -> str:
    """A lower-case host in ASCII form; unchanged when it is no valid name."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def address(url: str) -> str:
    """A URL in one spelling: `host/path?query`; no scheme, port or fragment, percent signs decoded."""
    found = re.match(_HOST, url)
    if found is None:
        return url
    host = found[1].lower().rstrip(".").removeprefix("www.")
    rest = re.sub(r"^:\d*", "", url[found.end() :]).split("#", 1)[0]
    return ascii_host(host) + unquote(rest if rest.startswith("/") else f"/{rest}")


def registered_domains(urls: pl.Series) -> pl.Series:
    """Registered domain of each URL (String); the host itself where it has none, as `localhost` or an IP address."""
    found = hosts(urls)
    known = found.drop_nulls().unique().to_list()
    return found.replace(known, [_registered(host) for host in known]) if known else found


def _registered(host: str) -> str:
    return host if _ADDRESS.fullmatch(host) else _suffixes().privatesuffix(host) or host


@functools.cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
