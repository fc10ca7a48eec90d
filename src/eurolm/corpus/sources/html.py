"""The main text of a web page: decoded, without menus, banners, side columns and reader comments.

Extraction is resiliparse's (extra `web`): on pages made from Latvian and Estonian text it keeps every paragraph, as
trafilatura does, at twenty times its speed (docs/decisions.md). Its lists of class names are English, so the words
that Latvian and Estonian sites use are added here; what still slips through is repeated on every page of a site,
which the boilerplate rule removes.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from eurolm.errors import MachineError

MAX_PAGE_BYTES = 8 * 1024**2
"""A page of this size takes about 150 MB to parse. Longer ones are listings and dumps."""
LARGE_PAGE_BYTES = 64 * 1024
"""Smaller pages cannot hold enough tags to trouble the parser."""
MAX_NESTED_BLOCKS = 2000
"""Time grows with the square of the depth: 2,000 nested blocks take 0.1 s, 200,000 would take a quarter of an hour."""
MAX_ATTRIBUTES = 10_000
"""Time grows with the square of a tag's attributes: 10,000 take 0.2 s."""

TOO_LONG_PAGE = f"page longer than {MAX_PAGE_BYTES // 1024**2} MiB"
TOO_DEEP = f"page of more than {MAX_NESTED_BLOCKS:,} nested blocks"
TOO_MANY_ATTRIBUTES = f"page with a tag of more than {MAX_ATTRIBUTES:,} attributes"

_BLOCK = re.compile(rb"<(/?)(?:div|article)\b", re.IGNORECASE)
_MANY_ATTRIBUTES = re.compile(rb"<[A-Za-z](?:[^<>\s]*\s+){%d}" % MAX_ATTRIBUTES)
_MARKS = (
    "sikdat", "sīkdat", "kupsis", "küpsis", "izvelne", "izvēlne", "menuu", "menüü", "kajene", "kājene", "jalus",
    "cookiebot", "cookieconsent", "cookie-consent", "cookie-notice", "cookie-law", "onetrust",
)  # fmt: skip
"""Cookie banner, menu and footer as class names in Latvian and Estonian, and the usual consent tools."""
_BOXES = ("div", "section", "aside", "nav", "ul", "footer", "td", "p")
"""What is left out by such a name; never `body` or `html`, which carry `cookieconsent-open` and the like."""
_NAMED = ",".join(f'[{name}*="{mark}" i]' for name in ("class", "id") for mark in _MARKS)
_SKIPPED = (f":is({','.join(_BOXES)}):is({_NAMED})",)


def require_extractor() -> None:
    """Raises MachineError where resiliparse is not installed."""
    try:
        import resiliparse.extract.html2text  # noqa: F401
    except ImportError:
        raise MachineError(
            "web archives need resiliparse, which is not installed: pip install 'eurolm[web]'."
        ) from None


def page_problem(page: bytes) -> str | None:
    """Why a page is not parsed, if it would take the parser too long."""
    if len(page) > MAX_PAGE_BYTES:
        return TOO_LONG_PAGE
    if len(page) < LARGE_PAGE_BYTES:
        return None
    if _MANY_ATTRIBUTES.search(page):
        return TOO_MANY_ATTRIBUTES
    depth = 0
    for tag in _BLOCK.finditer(page):
        depth = max(0, depth - 1) if tag[1] else depth + 1
        if depth > MAX_NESTED_BLOCKS:
            return TOO_DEEP
    return None


def main_text(page: bytes, charset: str | None) -> str:
    """Text of the page's main content, paragraphs on lines of their own; empty where there is none.

    `charset` is what the HTTP header says, if anything.
    """
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(
        decode(page, charset),
        main_content=True,
        alt_texts=False,
        comments=False,
        skip_elements=_SKIPPED,
    )


def decode(page: bytes, charset: str | None) -> str:
    """The page as text. The HTTP header wins over the page's own word, which wins over detection (WHATWG HTML,
    13.2.3.2), but an encoding in which more than one character of a thousand is broken loses to the next."""
    first = None
    for encoding in _encodings(page, charset):
        text = page.decode(encoding, errors="replace")
        if text.count("\ufffd") * 1000 <= len(text):
            return text
        first = first or text
    return first or ""


def _encodings(page: bytes, charset: str | None) -> Iterator[str]:
    from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

    if page.startswith(b"\xef\xbb\xbf"):
        yield "utf-8-sig"
    named = map_encoding_to_html5(charset, fallback_utf8=False) if charset else None
    if named and _is_known(named):
        yield named
    meant = detect_encoding(page, from_html_meta=True)
    # A meta tag that could be read is not in UTF-16 (the same section).
    in_utf16 = page.startswith((b"\xff\xfe", b"\xfe\xff"))
    yield meant if meant and _is_known(meant) and (in_utf16 or not meant.startswith("utf-16")) else "utf-8"
    detected = detect_encoding(page)
    yield detected if detected and _is_known(detected) else "utf-8"


def _is_known(encoding: str) -> bool:
    try:
        codecs.lookup(encoding)
    except LookupError:
        return False
    return True
