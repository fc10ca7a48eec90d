"""Lists of documents to forget: removal requests, and what a newer check of a finished corpus found.

They are applied when the corpus is read, so that it is not rewritten; ids never depend on the text, so a list outlives
another cleaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson

from eurolm.corpus.sources.domains import address
from eurolm.corpus.sources.lists import entries, stamps
from eurolm.errors import InputError

SETTING = "corpus.forget"
ID_DIGITS = 32
URL_MARK = "://"


@dataclass(frozen=True)
class Forgotten:
    """Documents that are left out: `ids` (32 hex digits) and `urls` (in the spelling of `_address`, so that `http`,
    `www.` or a slash at the end make no difference)."""

    ids: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()

    @classmethod
    def load(cls, paths: Sequence[Path]) -> Forgotten:
        """Read lists of ids and URLs, one a line, or JSONL with `id` or `url` (where it has both, the id counts).

        Raises InputError for a list that is missing, empty, or holds something else.
        """
        found = {entry for path in paths for entry in _list(path)}
        urls = {entry for entry in found if URL_MARK in entry}
        return cls(frozenset(found - urls), frozenset(map(_address, urls)))

    def __bool__(self) -> bool:
        return bool(self.ids or self.urls)

    def entries(self, document: str, url: str | None) -> list[str]:
        """The entries that leave out the document with this id and URL; none for a document that stays."""
        found = [document] if document in self.ids else []
        if url is not None and self.urls and (spelled := _address(url)) in self.urls:
            found.append(spelled)
        return found

    def identity(self) -> str:
        """sha256 of the set, whatever files and order it came in."""
        lines = "".join(f"{entry}\n" for entry in sorted(self.ids | self.urls))
        return hashlib.sha256(lines.encode()).hexdigest()


NOTHING = Forgotten()


def loaded(paths: Sequence[Path]) -> Forgotten:
    """The lists, read once per process while their files stay as they are."""
    return _loaded(stamps(paths))


@lru_cache(maxsize=1)
def _loaded(files: tuple[tuple[Path, int, int], ...]) -> Forgotten:
    return Forgotten.load([path for path, *_ in files])


def _address(url: str) -> str:
    return address(url).rstrip("/")


def _list(path: Path) -> Iterator[str]:
    for place, text in entries(path, SETTING):
        entry = _json_entry(text, place) if text.startswith("{") else text
        if not _is_id(entry) and URL_MARK not in entry:
            raise InputError(f"{place}: {entry!r} is neither a document id ({ID_DIGITS} hex digits) nor a URL.")
        yield entry


def _json_entry(text: str, place: str) -> str:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{place}: not JSON ({error}).") from None
    entry = value.get("id") or value.get("url")
    if not isinstance(entry, str):
        raise InputError(f"{place}: the record has neither `id` nor `url`.")
    return entry


def _is_id(entry: str) -> bool:
    return len(entry) == ID_DIGITS and all(digit in "0123456789abcdef" for digit in entry)
