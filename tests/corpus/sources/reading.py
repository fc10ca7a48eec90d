"""Sources read without a corpus stage: units, documents, what was counted; and web archives made by hand."""

from __future__ import annotations

import hashlib
import html
from pathlib import Path
from typing import Any

import polars as pl
from tests.corpus.building import config

from eurolm.corpus.sources.records import Tally, check_fields, unit_documents
from eurolm.corpus.sources.units import PART_BYTES, plan_units


def read(
    base: Path, source: dict[str, Any], part_bytes: int = PART_BYTES, **changes: Any
) -> tuple[pl.DataFrame, list[Tally]]:
    """All documents of one source and the tally of each unit."""
    section = config([{"name": "a"} | source], **{"max_invalid_share": 1} | changes)
    frames, tallies = [], []
    for unit in plan_units(section, base, part_bytes):
        tallies.append(Tally())
        frames += list(unit_documents(unit, section, tallies[-1]))
    check_fields(section.sources[0], tallies)
    return pl.concat(frames), tallies


def total(tallies: list[Tally], name: str) -> dict[str, int]:
    """Counts of `skipped` or `invalid` over all units."""
    counts: dict[str, int] = {}
    for tally in tallies:
        found = tally.skipped if name == "skipped" else tally.invalid.counts
        for cause, count in found.items():
            counts[cause] = counts.get(cause, 0) + count
    return counts


def warc_record(kind: str, block: bytes, **fields: str) -> bytes:
    """One WARC record; underscores in the names of `fields` are hyphens."""
    head = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:{hashlib.sha256(repr((kind, block, fields)).encode()).hexdigest()[:32]}>",
        "WARC-Date": "2024-02-03T04:05:06Z",
        "Content-Length": str(len(block)),
    }
    head |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"WARC/1.0\r\n{lines}\r\n".encode() + block + b"\r\n\r\n"


def http_response(body: bytes, *headers: str, status: str = "200 OK", kind: str = "text/html; charset=utf-8") -> bytes:
    """A stored HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def response_record(url: str, page: bytes, *headers: str, **response: str) -> bytes:
    """A page as an archive holds it."""
    return warc_record("response", http_response(page, *headers, **response), WARC_Target_URI=url)


MENU = {
    "lv": ["Sākums", "Par mums", "Jaunumi", "Pakalpojumi", "Kontakti", "Vakances", "Ienākt"],
    "et": ["Avaleht", "Meist", "Uudised", "Teenused", "Kontakt", "Töökohad", "Logi sisse"],
}
BANNER = {
    "lv": "Šī vietne izmanto sīkdatnes, lai uzlabotu pārlūkošanas pieredzi. Turpinot jūs tam piekrītat.",
    "et": "See veebileht kasutab küpsiseid, et pakkuda paremat kasutuskogemust. Jätkates nõustute sellega.",
}
FOOTER = {
    "lv": "© Visas tiesības aizsargātas. Privātuma politika",
    "et": "© Kõik õigused kaitstud. Privaatsuspoliitika",
}
LAYOUTS = {
    "semantic": (
        "<header><nav><ul>{menu}</ul></nav></header><div id='cookie-banner'><p>{banner}</p></div>"
        "<main><article><h1>{title}</h1>{body}</article></main><footer><p>{footer}</p></footer>"
    ),
    "wordpress": (
        "<div id='page'><div class='main-navigation menu'><ul>{menu}</ul></div>"
        "<div class='entry-content'><h1>{title}</h1>{body}</div><div class='site-footer'>{footer}</div></div>"
        "<div id='CybotCookiebotDialog'><p>{banner}</p></div>"
    ),
    "native": (
        "<div class='izvelne menuu'><ul>{menu}</ul></div><div class='sikdatnes kupsised'><p>{banner}</p></div>"
        "<div class='saturs sisu'><h1>{title}</h1>{body}</div><div class='kajene jalus'>{footer}</div>"
    ),
}


def web_page(language: str, layout: str, title: str, paragraphs: list[str], charset: str = "utf-8") -> str:
    """A page with a menu, a cookie banner and a footer around real paragraphs."""
    menu = "".join(f"<li><a href='/{place}'>{item}</a></li>" for place, item in enumerate(MENU[language]))
    body = "".join(f"<p>{html.escape(text)}</p>\n" for text in paragraphs)
    inside = LAYOUTS[layout].format(
        menu=menu, banner=BANNER[language], footer=FOOTER[language], title=html.escape(title), body=body
    )
    head = f"<head><meta charset='{charset}'><title>{html.escape(title)}</title><style>p {{}}</style></head>"
    return f"<!DOCTYPE html><html lang='{language}'>{head}<body>{inside}<script>var x = 1;</script></body></html>"
