"""Mending text whose UTF-8 was once read as something else (`Ä€` for `Ā`), with ftfy.

Only that is mended: no quotation mark is straightened, no letter form replaced, no entity resolved. ftfy is slow and
most text is clean, so a line is shown to it only if it holds what UTF-8 looks like when it is read as one of ftfy's
single-byte encodings: a leading byte with as many continuation bytes as it announces.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib import import_module
from typing import Any

import polars as pl

from eurolm.errors import MachineError

ENCODINGS = (
    "latin-1", "windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1257",
    "iso-8859-2", "macroman", "cp437",
)  # fmt: skip
"""The encodings that ftfy tries."""
LEADING = ((0xC2, 0xE0, 1), (0xE0, 0xF0, 2), (0xF0, 0xF5, 3))
"""Ranges of leading bytes and the number of continuation bytes after them."""
LOSSY = "\ufffd\x1a"
"""Written by some decoders for bytes that they could not read."""


def repair(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """`texts` (String, NFC) mended, and which changed (Boolean). Raises MachineError where ftfy is not installed."""
    ftfy = _ftfy()
    settings = ftfy.TextFixerConfig(
        unescape_html=False, remove_terminal_escapes=False, fix_latin_ligatures=False, fix_character_width=False,
        uncurl_quotes=False, fix_line_breaks=False, fix_surrogates=False, remove_control_chars=False,
        normalization=None, explain=False,
    )  # fmt: skip
    places = texts.str.contains(_traces()).fill_null(False).arg_true()
    traces = re.compile(_traces())
    mended: dict[int, str] = {}
    for place, text in zip(places, texts.gather(places), strict=True):
        lines = (ftfy.fix_text(line, settings) if traces.search(line) else line for line in text.split("\n"))
        result = unicodedata.normalize("NFC", "\n".join(lines))
        if result != text:
            mended[place] = result
    changed = pl.Series("changed", [False], dtype=pl.Boolean).new_from_index(0, len(texts))
    repaired = texts.clone()
    if mended:
        # Clones, because scatter works in place.
        repaired.scatter(list(mended), list(mended.values()))
        changed.scatter(list(mended), True)
    return repaired, changed


def _ftfy() -> Any:
    try:
        return import_module("ftfy")
    except ImportError:
        raise MachineError(
            "repair_encoding of a corpus source needs ftfy, which is not installed: pip install 'eurolm[encoding]', or "
            "set repair_encoding to false."
        ) from None


@cache
def _traces() -> str:
    """A pattern for both polars and `re`."""
    forms = {r"[\u0080-\u009f]": None}
    for encoding in ENCODINGS:
        following = _characters(0x80, 0xC0, encoding) + LOSSY
        for first, end, count in LEADING:
            forms[f"[{re.escape(_characters(first, end, encoding))}][{re.escape(following)}]{{{count}}}"] = None
    return "|".join(forms)


def _characters(first: int, end: int, encoding: str) -> str:
    """What bytes [first, end) are in an encoding; bytes without a character stay control characters."""
    return "".join(
        bytes([byte]).decode(encoding, errors="ignore") or bytes([byte]).decode("latin-1") for byte in range(first, end)
    )
