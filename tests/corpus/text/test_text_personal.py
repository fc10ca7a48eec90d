"""Personal data in real sentences: what is real goes, what only looks like it stays."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from ipaddress import IPv4Address, IPv6Address

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.text.real import needs_shared_text, sample_texts, sources, texts

from eurolm.corpus.text import codes
from eurolm.corpus.text.personal import KINDS, replace

TYPES = ["email", "ip", "phone", "iban", "personal_code"]
Draw = random.Random


def birthday(draw: Draw) -> date:
    return date(1920, 1, 1) + timedelta(days=draw.randrange(38_000))


def latvian_code(draw: Draw) -> str:
    born = birthday(draw)
    body = f"{born:%d%m%y}{(born.year - 1800) // 100}{draw.randrange(1000):03}"
    last = next(digit for digit in "0123456789" if codes.is_latvian_birth_code(body + digit))
    return f"{body[:6]}-{body[6:]}{last}"


def latvian_new_code(draw: Draw) -> str:
    return f"32{draw.randrange(10_000):04}-{draw.randrange(100_000):05}"


def estonian_code(draw: Draw) -> str:
    born = birthday(draw)
    sex = (born.year - 1800) // 100 * 2 + draw.randint(1, 2)
    body = f"{sex}{born:%y%m%d}{draw.randrange(1000):03}"
    return body + next(digit for digit in "0123456789" if codes.is_estonian_code(body + digit))


def iban(draw: Draw) -> str:
    country, length, letters = draw.choice([("LV", 21, 4), ("EE", 20, 0), ("LT", 20, 0), ("FI", 18, 0), ("DE", 22, 0)])
    body = "".join(draw.choices("ABCDEFGHIJ", k=letters)) + "".join(draw.choices("0123456789", k=length - 4 - letters))
    whole = next(f"{country}{check:02}{body}" for check in range(2, 99) if codes.is_iban(f"{country}{check:02}{body}"))
    return " ".join(whole[place : place + 4] for place in range(0, length, 4)) if draw.random() < 0.5 else whole


def phone(draw: Draw) -> str:
    """With the country's code in the ways people write it."""
    latvian = draw.random() < 0.5
    number = str(draw.choice([2, 6]) if latvian else draw.choice([5, 6, 7]))
    number += "".join(draw.choices("0123456789", k=7 if latvian else draw.choice([6, 7])))
    form = draw.choice(["{p}{n}", "{p} {n}", "{p} {a} {b}", "{p}-{a}-{b}", "({p}) {a}{b}", "{p} {c} {d} {b}"])
    prefix = draw.choice(["+", "00", "+"]) + ("371" if latvian else "372")
    return form.format(p=prefix, n=number, a=number[:4], b=number[4:], c=number[:2], d=number[2:4])


def local_phone(draw: Draw) -> str:
    """After a cue word, which is part of the form and stays."""
    number = str(draw.choice([2, 5, 6])) + "".join(draw.choices("0123456789", k=7))
    cue = draw.choice(
        ["tālr. ", "Tālrunis: ", "tel. ", "Tel: ", "mob. ", "telefon ", "Telefonil ", "mobiil: ", "phone "]
    )
    return cue + draw.choice([number, f"{number[:2]} {number[2:5]} {number[5:]}", f"{number[:4]} {number[4:]}"])


def email(draw: Draw) -> str:
    name = draw.choice(["janis.berzins", "mari_tamm", "info", "k.ozolina+pasts", "a-b", "õie.pärn", "x1"])
    return (
        f"{name}@{draw.choice(['gmail.com', 'inbox.lv', 'ut.ee', 'riigi-kantselei.ee', 'pasts.vid.gov.lv', 'kool.eu'])}"
    )


def address(draw: Draw) -> str:
    six = draw.random() < 0.3
    while True:
        value = IPv6Address((0x2A00 << 112) + draw.getrandbits(112)) if six else IPv4Address(draw.getrandbits(32))
        if value.is_global and not value.is_multicast:
            return str(value)


def broken_code(draw: Draw) -> str:
    """One wrong check digit."""
    value = draw.choice([latvian_code, estonian_code])(draw)
    return value[:-1] + str((int(value[-1]) + draw.choice([1, 3, 5, 7])) % 10)


def broken_iban(draw: Draw) -> str:
    value = iban(draw)
    return value[:-1] + str((int(value[-1]) + draw.randint(1, 9)) % 10)


def private_address(draw: Draw) -> str:
    return draw.choice(["192.168.{}.{}", "10.0.{}.{}", "127.0.{}.{}", "172.16.{}.{}"]).format(
        draw.randrange(256), draw.randrange(256)
    )


def in_sentences(make: Callable[[Draw], str], count: int = 600) -> Iterator[tuple[str, str, str]]:
    """Text with a value in the middle, at the end of a sentence, in brackets or on a line of its own: before, value,
    after."""
    draw = random.Random(make.__name__)
    plain = [
        text[:300] for language in ("lv", "et") for text in sample_texts(language) if not set(text[:300]) & set("@+")
    ]
    for _ in range(count):
        before, after = draw.choice(
            [(" ", " "), (" (", ") "), (": ", ". "), ("\n", "\n"), (" ", ", "), (" „", "” "), ("", "")]
        )
        if before:
            before, after = draw.choice(plain) + before, after + draw.choice(plain)
        yield before, make(draw), after


@pytest.mark.parametrize(
    ("make", "name", "least"),
    [(email, "email", 1.0), (iban, "iban", 1.0), (latvian_code, "personal_code", 1.0), (address, "ip", 0.99),
     (latvian_new_code, "personal_code", 1.0), (estonian_code, "personal_code", 1.0), (phone, "phone", 0.99),
     (local_phone, "phone", 0.99)],
)  # fmt: skip
def test_what_is_real_goes(make: Callable[[Draw], str], name: str, least: float) -> None:
    cases = list(in_sentences(make))
    before = pl.Series(["".join(case) for case in cases])
    around, _ = replace(pl.Series([case[0] + case[2] for case in cases]), TYPES)
    clean, counts = replace(before, TYPES)
    held = [re_digits(case[1]) if name == "phone" else case[1] for case in cases]
    gone = sum(value not in text for value, text in zip(held, clean, strict=True))
    assert gone >= least * len(cases), [case for case, text in zip(cases, clean, strict=True) if case[1] in text][:5]
    assert (counts[name] > 0).mean() >= least
    assert sum(len(text) - len(rest) < 45 for text, rest in zip(clean, around, strict=True)) == len(cases)


def re_digits(value: str) -> str:
    """The number without its cue word."""
    return value[next(place for place, character in enumerate(value) if character in "+(0123456789") :]


@pytest.mark.parametrize("make", [broken_code, broken_iban, private_address])
def test_what_fails_its_check_stays(make: Callable[[Draw], str]) -> None:
    draw = random.Random(3)
    before = pl.Series([f"Saskaņā ar {make(draw)} un tā tālāk." for _ in range(600)])
    clean, counts = replace(before, TYPES)
    assert clean.equals(before)
    assert counts.sum().row(0) == (0,) * len(TYPES)


@pytest.mark.parametrize(
    "text",
    [
        "Likuma 1.2.3.4. punkts un 8.1.12.2. apakšpunkts", "LibreOffice versija 7.4.7.2 vai v124.0.6367.91 laidiens",
        "Reģ. Nr. 40003010164, vienotais reģistrācijas numurs 40103010164", "2023–2024. gadā, 2004.-2006. gads",
        "telefon 112, tālrunis 8500", "tālrunis 2023. gada 12. maijā", "konts LV00 AAAA", "EE12 lõike 3 punkt",
        "@page { margin: 1cm }", "lietotājs@ ievada @lietotājs", "12345678901", "100 000 000 000 eurot", "7.4.7.2",
        "Nr. 01/2005-1234567", "10:30:45 2024:01:02", "telefonide arv 5 123 456 789 012",
        "(EÜ) nr 2725/2000, 11.12.2000",
        "3210 4-5678", "32 1234 tonnas", "std::vector<int>::iterator", "+371 km",
        "[EMAIL] [PHONE] [IBAN] [IP] [PERSONAL_CODE]",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_stays(text: str) -> None:
    clean, counts = replace(pl.Series([text]), TYPES)
    assert clean[0] == text
    assert counts.row(0) == (0,) * len(TYPES)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Rakstiet uz info@vid.gov.lv.", "Rakstiet uz [EMAIL]."),
        ("tālr. 67012345, 67012346", "tālr. [PHONE], [PHONE]"),
        ("vv@vormsi.ee või (+372) 52 96 318.", "[EMAIL] või [PHONE]."),
        ("Tālrunis: +32 2 299 11 11", "Tālrunis: [PHONE]"),
        ("p.k. 32123412345", "p.k. [PERSONAL_CODE]"),
        ("isikukood 37605030299;", "isikukood [PERSONAL_CODE];"),
        ("konts LV80 BANK 0000 4351 9500 1 EUR", "konts [IBAN] EUR"),
        ("IP-aadress 8.8.8.8", "IP-aadress [IP]"),
        ("kirjutage info@emta.ee-le", "kirjutage [EMAIL]-le"),
    ],
)
def test_how_it_reads_afterwards(text: str, clean: str) -> None:
    assert replace(pl.Series([text]), TYPES)[0][0] == clean


def test_types_that_are_not_asked_for_stay_and_nulls_too() -> None:
    before = pl.Series("text", ["info@vid.gov.lv, isikukood 37605030299", None, ""])
    clean, counts = replace(before, ["personal_code", "email"])
    assert clean.to_list() == ["[EMAIL], isikukood [PERSONAL_CODE]", None, ""]
    assert counts.to_dict(as_series=False) == {"personal_code": [1, 0, 0], "email": [1, 0, 0]}
    assert counts.dtypes == [pl.UInt32, pl.UInt32]
    only, counts = replace(before, ["email"])
    assert only[0] == "[EMAIL], isikukood 37605030299" and counts.columns == ["email"]
    assert replace(before, [])[0].equals(before, null_equal=True)
    assert before[0] == "info@vid.gov.lv, isikukood 37605030299"


PIECES = st.sampled_from(
    ["+371", "372", " ", "-", "67012345", "5123456", "tel. ", "tālr.:", "a@b.lv", "@", ".", "LV80BANK0000435195001",
     "37605030299", "161175-19997", "[PHONE]", "85.254.0.1", "2a00:1450::1", ",", "/", "\n", "(", ")", "x", "ā", "00"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=60))
def test_twice_is_once(text: str) -> None:
    once, _ = replace(pl.Series([text]), TYPES)
    twice, counts = replace(once, TYPES)
    assert twice.equals(once) and counts.sum().row(0) == (0,) * len(TYPES)


def test_hints_miss_nothing() -> None:
    """What the pattern of a kind finds, its hint for polars finds too."""
    for name, makes in {
        "email": [email], "iban": [iban], "phone": [phone, local_phone], "ip": [address],
        "personal_code": [latvian_code, latvian_new_code, estonian_code],
    }.items():  # fmt: skip
        held = [before + value + after for make in makes for before, value, after in in_sentences(make, 300)]
        lines = [line for text in held for line in text.split("\n") if KINDS[name].pattern.search(line)]
        assert len(lines) > 250 * len(makes)
        assert pl.Series(lines).str.contains(KINDS[name].hint).all()


@needs_shared_text
@pytest.mark.parametrize(("language", "source"), [("lv", "likumi"), ("et", "riigi_teataja")])
def test_statutes_hold_addresses_of_offices_and_nothing_that_is_mistaken(language: str, source: str) -> None:
    """Ten megabytes; what is found is printed. Statutes name mailboxes and telephones, no people's numbers."""
    assert source in sources(language)
    batch: list[str] = []
    for text in texts(language, source):
        batch.append(text)
        if sum(map(len, batch)) > 10_000_000:
            break
    clean, counts = replace(pl.Series(batch), TYPES)
    print(language, source, counts.sum().to_dicts())
    for before, after, number in zip(batch, clean, counts.sum_horizontal(), strict=True):
        for line, rest in zip(before.split("\n"), after.split("\n"), strict=True) if number else ():
            if line != rest:
                print("   ", rest[-150:])
                assert "@" in line or "fak" in line.lower() or "tālr" in line.lower() or "tel" in line.lower()
    assert counts.select("ip", "iban", "personal_code").sum().row(0) == (0, 0, 0)
    assert counts.select("email", "phone").sum().row(0) <= (60, 20)
