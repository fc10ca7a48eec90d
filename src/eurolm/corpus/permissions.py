"""What may not be trained on: licences that the config does not allow, sites and addresses that opted out.

Lists are files collected beforehand (robots.txt, TDMRep, ai.txt, requests), because compute nodes have no network. The
same function judges documents when a corpus is built and when a finished one is checked again with newer lists.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from eurolm.config.corpus import CorpusConfig, LicensesConfig, OptOutConfig
from eurolm.corpus.sources.domains import address, hosts
from eurolm.corpus.sources.lists import entries, stamps
from eurolm.errors import InputError

LICENSE, OPT_OUT = "license", "opt_out"
RULES: tuple[str, ...] = (LICENSE, OPT_OUT)
"""Names under which documents leave, in the order in which they are asked."""


@dataclass(frozen=True)
class ListFile:
    """One list as it was read: `date` is the day it was last changed (UTC), `entries` how many it has."""

    path: Path
    kind: str
    sha256: str
    date: str
    entries: int


@dataclass(frozen=True)
class OptOutLists:
    """`domains`: hosts in the spelling of `sources.domains`; each covers its subdomains. `prefixes`: host → sorted
    addresses that begin with it, none of them a prefix of another."""

    domains: frozenset[str]
    prefixes: dict[str, tuple[str, ...]]
    files: tuple[ListFile, ...]

    @classmethod
    def load(cls, config: OptOutConfig) -> OptOutLists:
        """Read all lists. Raises InputError for one that is missing, empty, or holds something else."""
        domains, prefixes, files = set[str](), set[str](), list[ListFile]()
        for path in config.domains:
            found = list(_domains(path))
            domains.update(found)
            files.append(_describe(path, "domains", len(found)))
        for path in config.url_prefixes:
            found = list(_prefixes(path))
            prefixes.update(found)
            files.append(_describe(path, "url_prefixes", len(found)))
        return cls(frozenset(domains), _by_host(prefixes), tuple(files))

    def describe(self) -> list[dict[str, Any]]:
        """Each file with its hash, date and number of entries, for manifest and report."""
        return [{**vars(file), "path": str(file.path)} for file in self.files]

    def match_domain(self, host: str) -> str | None:
        """The listed domain that `host` is or is below, if any."""
        while host not in self.domains:
            _, dot, host = host.partition(".")
            if not dot:
                return None
        return host

    def match_prefix(self, url: str) -> str | None:
        """The listed prefix that `url` begins with, if any."""
        spelled = address(url)
        listed = self.prefixes.get(spelled.split("/", 1)[0], ())
        place = bisect_right(listed, spelled) - 1
        return listed[place] if place >= 0 and spelled.startswith(listed[place]) else None


def loaded(config: OptOutConfig) -> OptOutLists:
    """The lists, read once per process while their files stay as they are."""
    return _loaded(stamps(config.domains), stamps(config.url_prefixes))


@lru_cache(maxsize=1)
def _loaded(domains: tuple[tuple[Path, int, int], ...], prefixes: tuple[tuple[Path, int, int], ...]) -> OptOutLists:
    paths = {"domains": [path for path, *_ in domains], "url_prefixes": [path for path, *_ in prefixes]}
    return OptOutLists.load(OptOutConfig.model_validate(paths))


def refusals(frame: pl.DataFrame, config: CorpusConfig, lists: OptOutLists) -> tuple[pl.Series, pl.Series]:
    """`rule` (`license`, `opt_out` or null) and `value` (what refused it) of each document; both String.

    `frame` has the columns `license` and `url`, both String.
    """
    license_value = _refused_licenses(frame["license"], config.licenses)
    opted_out = _opted_out(frame["url"], lists)
    told = pl.select(
        rule=pl.when(license_value.is_not_null())
        .then(pl.lit(LICENSE))
        .when(opted_out.is_not_null())
        .then(pl.lit(OPT_OUT)),
        value=pl.coalesce(license_value, opted_out),
    )
    return told["rule"], told["value"]


def _refused_licenses(licenses: pl.Series, config: LicensesConfig) -> pl.Series:
    names = licenses.unique().to_list()
    causes = [_license_problem(name, config) for name in names]
    return licenses.replace_strict(names, causes, return_dtype=pl.String)


def _license_problem(name: str | None, config: LicensesConfig) -> str | None:
    denied = next((pattern for pattern in config.deny if _matches(name, pattern)), None)
    if denied is not None:
        return f"{name or 'no license'}: denied by {denied}"
    if not any(_matches(name, pattern) for pattern in config.allow):
        return f"{name or 'no license'}: not allowed"
    return None


def _matches(name: str | None, pattern: str) -> bool:
    return pattern == "*" if name is None else fnmatchcase(name.lower(), pattern.lower())


def _opted_out(urls: pl.Series, lists: OptOutLists) -> pl.Series:
    found = hosts(urls)
    known = found.drop_nulls().unique().to_list()
    matched = found.replace_strict(
        known, [lists.match_domain(host) for host in known], default=None, return_dtype=pl.String
    )
    if not lists.prefixes:
        return matched
    rows = (found.is_in(list(lists.prefixes)).fill_null(False) & matched.is_null()).arg_true()
    return matched.scatter(rows, pl.Series([lists.match_prefix(url) for url in urls.gather(rows)], dtype=pl.String))


def _domains(path: Path) -> Iterator[str]:
    for place, text, host in _hosted(path, "corpus.opt_out.domains"):
        if "." not in host or any(mark in text for mark in "/?#@: \t"):
            raise InputError(
                f"{place}: {text!r} is not a domain such as example.lv. "
                "Addresses with a path belong into a file under corpus.opt_out.url_prefixes."
            )
        yield host


def _prefixes(path: Path) -> Iterator[str]:
    for place, text, host in _hosted(path, "corpus.opt_out.url_prefixes"):
        if "." not in host or any(mark.isspace() for mark in text):
            raise InputError(f"{place}: {text!r} is not a URL prefix such as https://example.lv/blog/.")
        yield address(text)


def _hosted(path: Path, setting: str) -> Iterator[tuple[str, str, str]]:
    """Place, text and host (empty where there is none) of each entry; `*.example.lv` is `example.lv`."""
    found = list(entries(path, setting))
    names = pl.Series([text.removeprefix("*").removeprefix(".") for _, text in found], dtype=pl.String)
    for (place, text), host in zip(found, hosts(names), strict=True):
        yield place, text, host or ""


def _by_host(prefixes: set[str]) -> dict[str, tuple[str, ...]]:
    kept: dict[str, list[str]] = {}
    for prefix in sorted(prefixes):
        own = kept.setdefault(prefix.split("/", 1)[0], [])
        # Without prefixes of prefixes, one look-up finds the only candidate.
        if not own or not prefix.startswith(own[-1]):
            own.append(prefix)
    return {host: tuple(own) for host, own in kept.items()}


def _describe(path: Path, kind: str, count: int) -> ListFile:
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
    return ListFile(path, kind, hashlib.sha256(path.read_bytes()).hexdigest(), changed, count)
