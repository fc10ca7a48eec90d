"""How the report and the closing screen write numbers. What was not measured is written `n/a`, never a default."""

from __future__ import annotations

from typing import Any

NOT_MEASURED = "n/a"
PERCENT = "\u00a0%"
"""With a space that no line breaks at."""

_LANGUAGES = {
    "de": "German",
    "en": "English",
    "et": "Estonian",
    "fi": "Finnish",
    "liv": "Livonian",
    "lt": "Lithuanian",
    "ltg": "Latgalian",
    "lv": "Latvian",
    "pl": "Polish",
    "ru": "Russian",
    "vro": "Võro",
}


def language_name(code: str) -> str:
    """English name of a language we meet often; else its code."""
    return _LANGUAGES.get(code, code)


def whole(value: Any) -> str:
    """`12,345`."""
    return NOT_MEASURED if value is None else f"{value:,.0f}"


def fixed(value: Any, digits: int = 3) -> str:
    """`2.413`."""
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"


def percent(part: Any, whole_: Any = 1.0) -> str:
    """`12.3 %`; n/a where nothing can be divided. What is there is never rounded to nothing."""
    if part is None or not whole_:
        return NOT_MEASURED
    share = 100.0 * part / whole_
    return f"<\u00a00.1{PERCENT}" if 0 < share < 0.05 else f"{share:.1f}{PERCENT}"


def size(value: Any) -> str:
    """Bytes in decimal units: `4.71 MB`."""
    return NOT_MEASURED if value is None else f"{_scaled(value, ('bytes', 'kB', 'MB', 'GB', 'TB'))}"


def compact(value: float, _position: Any = None) -> str:
    """`0`, `250k`, `1.5M`: for axes, hence the position that matplotlib passes."""
    return _scaled(value, ("", "k", "M", "B", "T")).replace(" ", "")


def duration(seconds: Any) -> str:
    """`48 s`, `2 min 51 s`, `3 h 07 min`."""
    if seconds is None:
        return NOT_MEASURED
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def between(low: Any, high: Any, digits: int = 3) -> str:
    """`2.371–2.455`; n/a without both ends."""
    return NOT_MEASURED if low is None or high is None else f"{low:.{digits}f}–{high:.{digits}f}"


def percent_between(low: Any, high: Any) -> str:
    """`56.1–66.1 %`; n/a without both ends."""
    return NOT_MEASURED if low is None or high is None else f"{100 * low:.1f}–{100 * high:.1f}{PERCENT}"


def _scaled(value: float, units: tuple[str, ...]) -> str:
    power = 0
    # From 999.5 on three digits would be written as 1e+03.
    while abs(value) >= 999.5 and power < len(units) - 1:
        value, power = value / 1000, power + 1
    text = f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
    return f"{text} {units[power]}".strip()
