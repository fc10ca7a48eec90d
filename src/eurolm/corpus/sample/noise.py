"""Noise planted into the sample and marked, so that the report can show what the corpus stage catches.

Four kinds: near-duplicates (documents of the sample with 2–8 % of their words edited, none less alike than the stage's
threshold), exact duplicates, real text in other languages, and junk as it comes off web pages.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from eurolm.corpus.duplicates.shingles import jaccard, shingle
from eurolm.corpus.sample.pick import read_records, stable_hash
from eurolm.corpus.text.words import words_of

Record = dict[str, Any]

NEAR, EXACT, OTHER, JUNK = "near-duplicate", "exact-duplicate", "other-language", "junk"
COUNTS = {NEAR: 90, EXACT: 40, OTHER: 100, JUNK: 90}
LEAST_JACCARD = 0.83
BASE_CHARACTERS = (900, 6_000)
OTHER_FILES = (
    "fi/legalize", "fi/libreoffice_help", "fi/ud_tdt", "lt/eltec", "lt/laws", "lt/ud_alksnis", "lt/libreoffice_help",
    "en/ud_ewt", "en/libreoffice_help", "ru/libreoffice_help", "ru/ud_taiga",
)  # fmt: skip
"""No Latgalian: the only text there is belongs to FLORES, an evaluation set."""

MENU = (
    "Sākums|Par mums|Kontakti|Grozs|Pieslēgties|Reģistrēties|Jaunumi|Galerija|Meklēt|Sīkdatnes|Izpārdošana",
    "Avaleht|Meist|Kontakt|Ostukorv|Logi sisse|Registreeru|Uudised|Galerii|Otsi|Küpsised|Allahindlus",
)
REPEATED = (
    "Mēs izmantojam sīkdatnes, lai uzlabotu vietnes darbību. Turpinot lietot vietni, jūs tam piekrītat.",
    "Lasīt vairāk par šo rakstu un komentēt var tikai reģistrēti lietotāji.",
    "Kasutame küpsiseid, et veebileht töötaks paremini. Lehte edasi kasutades nõustud sellega.",
    "Loe edasi ja kommenteeri: see on võimalik ainult registreeritud kasutajale.",
)
SOUP = "#@%&*+=~^<>{}[]|\\/$€§°•■►▼…!?:;_-"


def make_noise(sample: Sequence[Record], text: Path, seed: int) -> list[Record]:
    """All planted records, kinds in order. `sample` is the real text, `text` the directory of other languages."""
    choice = random.Random(seed)
    bases = [record for record in sample if BASE_CHARACTERS[0] <= len(record["text"]) <= BASE_CHARACTERS[1]]
    bases = sorted(bases, key=lambda record: stable_hash("base" + record["id"]))
    near, exact = bases[: COUNTS[NEAR]], bases[COUNTS[NEAR] : COUNTS[NEAR] + COUNTS[EXACT]]
    donors = bases[COUNTS[NEAR] + COUNTS[EXACT] :]
    found = [_near(record, donors, choice) for record in near]
    found += [_planted(record, EXACT, record["text"], {"planted_of": _name(record)}) for record in exact]
    found += _other_languages(text)
    found += [_junk(number, choice) for number in range(COUNTS[JUNK])]
    return [{**record, "id": f"noise/{number:04d}"} for number, record in enumerate(found)]


def similarity(one: str, other: str) -> float:
    """Exact Jaccard similarity of two texts over their word 5-grams."""
    shingles = shingle(words_of(pl.Series([one, other], dtype=pl.String)), 5)
    return jaccard(np.unique(shingles.row(0)), np.unique(shingles.row(1)))


def _planted(record: Record, kind: str, text: str, more: Record) -> Record:
    return {**record, "text": text, "source": "noise", "planted": kind, **more}


def _name(record: Record) -> str:
    """The language stands in front, because help pages have the same id in both."""
    return f"{record['language']}/{record['id']}"


def _near(record: Record, donors: Sequence[Record], choice: random.Random) -> Record:
    """An edited copy, edited anew with a lighter hand until it is alike enough."""
    edit = choice.choice((_scatter, _replace_run, _frame))
    for share in (0.08, 0.06, 0.04, 0.03, 0.02, 0.015, 0.01):
        text = edit(record["text"], choice.choice(donors)["text"], share, choice)
        alike = similarity(record["text"], text)
        if alike >= LEAST_JACCARD and text != record["text"]:
            return _planted(record, NEAR, text, {"planted_of": _name(record), "planted_jaccard": round(alike, 4)})
    raise ValueError(f"no edit of {record['id']} stays alike enough; leave it out of the bases")


def _scatter(text: str, donor: str, share: float, choice: random.Random) -> str:
    """Single words here and there replaced by words of another document."""
    words, other = text.split(" "), donor.split()
    for place in choice.sample(range(len(words)), max(1, round(len(words) * share))):
        words[place] = choice.choice(other)
    return " ".join(words)


def _replace_run(text: str, donor: str, share: float, choice: random.Random) -> str:
    """One run of words replaced by a run of another document."""
    words, other = text.split(" "), donor.split()
    length = max(1, round(len(words) * share))
    start = choice.randrange(max(1, len(words) - length))
    return " ".join([*words[:start], *other[:length], *words[start + length :]])


def _frame(text: str, donor: str, share: float, choice: random.Random) -> str:
    """The same text inside other headings, as on a copying site."""
    other = donor.split()
    length = max(2, round(len(text.split()) * share))
    return "\n".join([" ".join(other[: length // 2]), text, " ".join(other[length // 2 : length])])


def _other_languages(text: Path) -> list[Record]:
    """Real documents in other languages, evenly over the files, each with its licence."""
    found: list[Record] = []
    for place, name in enumerate(OTHER_FILES):
        count = COUNTS[OTHER] // len(OTHER_FILES) + (place < COUNTS[OTHER] % len(OTHER_FILES))
        records = [record for record in read_records(text / f"{name}.jsonl.zst") if 300 <= len(record["text"]) <= 4_000]
        for record in sorted(records, key=lambda record: stable_hash(record["id"]))[:count]:
            kept = {"text": record["text"], "language": record["lang"], "license": record["license"]}
            found.append(_planted(kept, OTHER, record["text"], {"planted_of": f"{record['lang']}/{record['id']}"}))
    return found


def _junk(number: int, choice: random.Random) -> Record:
    makers: tuple[Callable[[random.Random], str], ...] = (_menu, _repeated, _soup, _table, _tags)
    text = makers[number % len(makers)](choice)
    return _planted({"text": text, "license": "CC0-1.0"}, JUNK, text, {})


def _menu(choice: random.Random) -> str:
    entries = choice.choice(MENU).split("|")
    joint = choice.choice((" | ", "\n", " » ", " · "))
    return joint.join(choice.sample(entries, choice.randint(6, len(entries))))


def _repeated(choice: random.Random) -> str:
    line, other = choice.sample(REPEATED, 2)
    return "\n".join([line] * choice.randint(5, 20) + [other] * choice.randint(1, 3))


def _soup(choice: random.Random) -> str:
    return " ".join(
        "".join(choice.choice(SOUP) for _ in range(choice.randint(1, 9))) for _ in range(choice.randint(40, 150))
    )


def _table(choice: random.Random) -> str:
    rows = ("\t".join(f"{choice.uniform(0, 1e4):.2f}" for _ in range(6)) for _ in range(choice.randint(8, 40)))
    return "Kokku un ir\n" + "\n".join(rows)


def _tags(choice: random.Random) -> str:
    entries = "|".join(MENU).replace(" ", "").split("|")
    return " ".join(f"#{entry.lower()}" for entry in choice.sample(entries, choice.randint(12, len(entries))))
