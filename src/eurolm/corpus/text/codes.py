"""Numbers with a built-in check: IBAN, Latvian and Estonian personal codes, public IP addresses.

Every function takes the characters as they stand in a text and says whether they can be the real thing. Sources: ISO
13616 (IBAN), the Latvian Law on the Register of Natural Persons and Cabinet rules (personas kods), EVS 585:2007
(isikukood).
"""

from __future__ import annotations

from datetime import date
from ipaddress import ip_address

IBAN_LENGTHS = {
    15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
"""Characters of an IBAN → the countries where it is so long."""
LATVIAN_WEIGHTS = (10, 5, 8, 4, 2, 1, 6, 3, 7, 9)
LATVIAN_CENTURIES = {"0": 1800, "1": 1900, "2": 2000}
ESTONIAN_WEIGHTS = ((1, 2, 3, 4, 5, 6, 7, 8, 9, 1), (3, 4, 5, 6, 7, 8, 9, 1, 2, 3))


def is_iban(text: str) -> bool:
    """Remainder 1 modulo 97 with the country moved to the end, letters as 10 to 35. The length is not looked at."""
    compact = "".join(text.split())
    turned = compact[4:] + compact[:4]
    return turned.isalnum() and int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def is_latvian_birth_code(digits: str) -> bool:
    """Eleven digits DDMMYYCNNNX: date of birth, century, number, check digit."""
    century = LATVIAN_CENTURIES.get(digits[6])
    if century is None or not _is_date(century + int(digits[4:6]), digits[2:4], digits[:2]):
        return False
    total = 1 + _weighted(digits, LATVIAN_WEIGHTS)
    return total % 11 % 10 == int(digits[10])


def is_latvian_new_code(digits: str) -> bool:
    """Eleven digits that begin with 32, given since July 2017; they hold no date of birth. Whether they have a check
    digit is not confirmed by an official source, so none is asked for."""
    return digits.startswith("32")


def is_estonian_code(digits: str) -> bool:
    """Eleven digits GYYMMDDSSSC: sex and century, date of birth, number, check digit modulo 11 in two passes."""
    if digits[0] not in "12345678":
        return False
    century = 1800 + (int(digits[0]) - 1) // 2 * 100
    if not _is_date(century + int(digits[1:3]), digits[3:5], digits[5:7]):
        return False
    remainders = (_weighted(digits, weights) % 11 for weights in ESTONIAN_WEIGHTS)
    return next((remainder for remainder in remainders if remainder < 10), 0) == int(digits[10])


def is_public_address(text: str) -> bool:
    """An IPv4 or IPv6 address that is routed in the public network."""
    try:
        return ip_address(text).is_global
    except ValueError:
        return False


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=False))


def _is_date(year: int, month: str, day: str) -> bool:
    try:
        date(year, int(month), int(day))
    except ValueError:
        return False
    return True
