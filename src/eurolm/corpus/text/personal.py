"""Personal data becomes typed placeholders: e-mail and public IP addresses, phone numbers, IBANs, personal codes.

A placeholder is `[EMAIL]` and the like: plain ASCII that no rule here takes for data again, that a reader and a
tokenizer see as one thing, and that, unlike a made-up address, a model cannot mistake for a real one. What has a check
digit must pass it; what has none needs a form or a cue word that leaves no doubt. Most text holds nothing of the kind,
which one pass of polars' regular expressions tells; Python looks at the rest. Names are out of reach.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from eurolm.corpus.text import codes

CUE_CHARACTERS = 30
PHONE_CUE = (
    r"(?:t[āa]lr(?:u[nņ]\w*)?|tel|tele?f\w+|mob|mobi\w+|m[āa]j|zvan\w+|helista\w*|phone|fax|faks\w*|gsm|whatsapp)"
)
CODE_CUE = re.compile(r"(?i)\b(?:pers(?:onas|\.)? ?kod\w*|p\. ?k\.|isikukood\w*|personal (?:identity )?code)\W*$")
ADDRESS_CUE = re.compile(r"(?i)\b(?:ip\b|ipv4|dns|server\w*|aadress\w*|adres\w*|address\w*|host\w*)[^\n]*$")
VERSION_CUE = re.compile(r"(?i)(?:\bv|ver|versij\w*|versioon\w*|version\w*|release|laid\w+)[\s.:]*$")
REGISTER_CUE = re.compile(r"(?i)\bre[ģg](?:istr\w+)?\.?[\s.:]*(?:num\w+|n[ru])?[\s.:]*$")
"""Numbers of Latvian companies have eleven digits, of which some pass for Estonian personal codes."""
SURE_OCTET = 64
"""Four numbers with dots are section numbers or versions as a rule; without a cue word one of them must be as great
as this, which 0.4 % of public addresses are not."""

GAP = r"[ \u00a0\u202f().–-]{0,2}"
LOCAL = rf"(?<![\w+])\(?[2-9](?:{GAP}\d){{6,7}}(?!\d)(?!{GAP}\d{{2}})"
ABROAD = rf"(?<!\w)(?:\+|00)\(?[1-9](?:{GAP}\d){{7,13}}(?!\d)"
LATVIAN = rf"371\)?{GAP}[2-9](?:{GAP}\d){{7}}"
ESTONIAN = rf"372\)?{GAP}[3-9](?:{GAP}\d){{6,7}}"
BALTIC = rf"(?<!\w)(?:\((?=[^(]{{3,5}}\)))?(?:\+|00) ?\(?(?:{LATVIAN}|{ESTONIAN})(?!\d)"
NUMBERS = rf"(?:{ABROAD}|{LOCAL})(?:[ \u00a0,;/]{{1,3}}(?:{ABROAD}|{LOCAL}))*"
CUED = rf"(?i:\b{PHONE_CUE})\b[ \u00a0\t.:;–\-/()nr]{{0,8}}{NUMBERS}"
NUMBER = re.compile(f"{BALTIC}|{ABROAD}|{LOCAL}")
IBAN = "|".join(
    rf"(?:{countries.replace(' ', '|')})[0-9]{{2}}(?:[ \u00a0]?[A-Z0-9]){{{length - 4}}}"
    for length, countries in codes.IBAN_LENGTHS.items()
)


@dataclass(frozen=True)
class Kind:
    """`hint`: what text without such data does not match (for polars); `pattern`: candidates; `replaced`: what becomes
    of a candidate, itself where it is none."""

    hint: str
    pattern: re.Pattern[str]
    replaced: Callable[[re.Match[str]], str]


def _when(check: Callable[[re.Match[str]], bool], placeholder: str) -> Callable[[re.Match[str]], str]:
    return lambda match: placeholder if check(match) else match[0]


def _before(match: re.Match[str]) -> str:
    return match.string[max(0, match.start() - CUE_CHARACTERS) : match.start()]


def _is_personal_code(match: re.Match[str]) -> bool:
    digits, before = match[1] + match[3], _before(match)
    if codes.is_latvian_new_code(digits) and (match[2] or CODE_CUE.search(before)):
        return True
    if codes.is_latvian_birth_code(digits):
        return True
    return not match[2] and codes.is_estonian_code(digits) and not REGISTER_CUE.search(before)


def _is_address(match: re.Match[str]) -> bool:
    if not codes.is_public_address(match[0]):
        return False
    before = _before(match)
    if ":" in match[0] or ADDRESS_CUE.search(before):
        return True
    return not VERSION_CUE.search(before) and any(int(octet) >= SURE_OCTET for octet in match[0].split("."))


def _phones(match: re.Match[str]) -> str:
    """The cue word stays, all numbers after it go."""
    return NUMBER.sub("[PHONE]", match[0])


KINDS: dict[str, Kind] = {
    "email": Kind(
        "@",
        re.compile(r"(?<![\w.+%'-])\w[\w.+%'-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}"),
        _when(lambda match: True, "[EMAIL]"),
    ),
    "iban": Kind(
        r"[A-Z]{2}[0-9]{2}[ \u00a0]?[A-Z0-9]{4}",
        re.compile(rf"(?<![A-Za-z0-9])(?:{IBAN})(?![A-Za-z0-9])"),
        _when(lambda match: codes.is_iban(match[0]), "[IBAN]"),
    ),
    "personal_code": Kind(
        r"[0-9]{6}[-–]?[0-9]{5}",
        re.compile(r"(?<!\w)(?<!\d[.,/-])([0-9]{6})([-–]?)([0-9]{5})(?!\w)(?![.,/-]\d)"),
        _when(_is_personal_code, "[PERSONAL_CODE]"),
    ),
    "phone": Kind(
        rf"(?:\+|00)[ \u00a0(]{{0,2}}37[12]|(?i:{PHONE_CUE})[^0-9\n]{{0,12}}[0-9]",
        re.compile(f"{BALTIC}|{CUED}"),
        _phones,
    ),
    "ip": Kind(
        r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]*:",
        re.compile(
            r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\w|\.\w)|"
            r"(?<![\w:])[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![\w:])"
        ),
        _when(_is_address, "[IP]"),
    ),
}
"""In the order in which they are looked for: an address may hold a phone number, an IBAN a personal code."""


def replace(texts: pl.Series, types: Sequence[str]) -> tuple[pl.Series, pl.DataFrame]:
    """`texts` (String, null stays) with placeholders, and how many of each type (UInt32 columns, in the order of
    `types`; 0 for null). Doing it again changes nothing."""
    kinds = {name: kind for name, kind in KINDS.items() if name in types}
    counts = {name: [0] * len(texts) for name in types}
    if not kinds:
        return texts, pl.DataFrame()
    hint = "|".join(kind.hint for kind in kinds.values())
    places = texts.str.contains(hint).fill_null(False).arg_true()
    lines = texts.gather(places).str.split("\n")
    replaced: dict[int, list[str]] = {}
    for place, held, hinted in zip(places, lines, _hinted(lines, hint), strict=True):
        for number in hinted:
            clean, found = _replace(held[number], kinds)
            if found:
                replaced.setdefault(place, held.to_list())[number] = clean
                for name, times in found.items():
                    counts[name][place] += times
    result = texts.clone()
    if replaced:
        # A clone, because scatter works in place.
        result.scatter(list(replaced), ["\n".join(rows) for rows in replaced.values()])
    return result, pl.DataFrame(counts, schema=dict.fromkeys(types, pl.UInt32))


def _hinted(lines: pl.Series, hint: str) -> list[list[int]]:
    """Per list of lines the numbers of those that match."""
    numbers = pl.element().str.contains(hint).arg_true()
    return lines.list.eval(numbers).to_list()


def _replace(text: str, kinds: dict[str, Kind]) -> tuple[str, dict[str, int]]:
    """Until nothing is found any more: what is replaced may have hidden its neighbour."""
    found: dict[str, int] = {}
    while True:
        before = text
        for name, kind in kinds.items():
            held = text.count(f"[{name.upper()}]")
            text = kind.pattern.sub(kind.replaced, text)
            if new := text.count(f"[{name.upper()}]") - held:
                found[name] = found.get(name, 0) + new
        if text == before:
            return text, found
