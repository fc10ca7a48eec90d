"""Check digits against python-stdnum, an independent implementation."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eurolm.corpus.text import codes

stdnum = pytest.importorskip("stdnum", reason="the oracle is python-stdnum")
from stdnum import iban  # noqa: E402
from stdnum.ee import ik  # noqa: E402
from stdnum.lv import pvn  # noqa: E402

ELEVEN = st.text("0123456789", min_size=11, max_size=11)
BIRTH_LIKE = st.builds(
    "{:02}{:02}{:02}{}{:04}".format, st.integers(0, 33), st.integers(0, 13), st.integers(0, 99), st.integers(0, 3),
    st.integers(0, 9999),
)  # fmt: skip
ESTONIAN_LIKE = st.builds(
    "{}{:02}{:02}{:02}{:04}".format, st.integers(0, 9), st.integers(0, 99), st.integers(0, 13), st.integers(0, 32),
    st.integers(0, 9999),
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(ESTONIAN_LIKE | ELEVEN)
def test_estonian_codes(digits: str) -> None:
    # stdnum knows the centuries up to 21xx under 7 and 8 as well.
    assert codes.is_estonian_code(digits) == ik.is_valid(digits)


@settings(max_examples=1500, deadline=None)
@given(BIRTH_LIKE)
def test_latvian_codes(digits: str) -> None:
    # stdnum takes any digit for the century, numbers from 32 for codes without a date and from 4 for companies.
    expected = digits[:2] <= "31" and digits[6] in "012" and pvn.is_valid(digits)
    assert codes.is_latvian_birth_code(digits) == expected


def test_known_codes() -> None:
    assert codes.is_estonian_code("37605030299") and not codes.is_estonian_code("37605030298")
    assert codes.is_latvian_birth_code("16117519997") and not codes.is_latvian_birth_code("16117519998")
    assert not codes.is_latvian_birth_code("30027519990")
    assert codes.is_iban("LV80 BANK 0000 4351 9500 1") and codes.is_iban("EE382200221020145685")


def test_lengths_of_ibans() -> None:
    for length, countries in codes.IBAN_LENGTHS.items():
        for country in countries.split():
            [(_, entry)] = iban._ibandb.info(country)
            assert 4 + sum(map(int, re.findall(r"(\d+)!", entry["bban"]))) == length, country


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["LV", "EE", "LT", "FI", "DE"]), st.text("0123456789ABCXYZ", min_size=11, max_size=18))
def test_remainders_of_ibans(country: str, body: str) -> None:
    right = iban.calc_check_digits(f"{country}00{body}")
    assert codes.is_iban(f"{country}{right}{body}")
    assert not codes.is_iban(f"{country}{(int(right) + 1) % 100:02}{body}")


@pytest.mark.parametrize(
    ("address", "public"),
    [("8.8.8.8", True), ("192.168.1.1", False), ("10.0.0.1", False), ("127.0.0.1", False), ("203.0.113.7", False),
     ("85.254.0.1", True), ("1.2.3.256", False), ("01.2.3.4", False), ("2001:db8::1", False), ("2a00:1450::1", True),
     ("fe80::1", False), ("2023:12:30", False)],
)  # fmt: skip
def test_public_addresses(address: str, public: bool) -> None:
    assert codes.is_public_address(address) == public
