"""Languages within a document: mixed documents, foreign paragraphs, statutes printed in two languages."""

from __future__ import annotations

import json
import random
import re
from functools import cache

import pytest
from tests.corpus.text.real import HISTORICAL, SHARED, documents, needs_shared_text, sample_texts, sources, texts

from eurolm.config.corpus import LanguageDetection
from eurolm.corpus.text.language import Detector, detector
from eurolm.corpus.text.paragraphs import LONG_LINE, _cut, foreign_paragraphs, identify

CONFIGURED = frozenset({"lv", "et"})
ENGLISH = (
    "The Government of the Republic shall notify the Depositary in writing that its internal procedures are complete.\n"
    "This Agreement shall enter into force on the first day of the second month following the last notification."
)
STOPWORDS = {
    "lv": "un ir ar par no uz kas tiek vai šā ja kā saskaņā līguma attiecībā",
    "foreign": "the of and to in shall that by for with be this which or le la les des du et que pour dans une est aux "
    "der die das und von den dem im mit für ist nicht eine",
}


def told() -> Detector:
    return detector(LanguageDetection())


@cache
def latvian() -> list[str]:
    return [line for text in sample_texts("lv") for line in text.split("\n") if len(line) > 120]


def by_words(line: str) -> str | None:
    """Language of a line of a statute by its function words and letters, where they are plain: the judge of the judge,
    in a way that has nothing to do with byte n-grams."""
    words = re.findall(r"\w+", line.lower())
    count = {name: sum(word in known.split() for word in words) for name, known in STOPWORDS.items()}
    letters = len(re.findall("[āēīūčšžģķļņ]", line.lower()))
    if count["lv"] + letters >= 3 and not count["foreign"]:
        return "lv"
    return "foreign" if count["foreign"] >= 3 and not letters else None


def test_pieces_cover_every_line_once() -> None:
    for text in [*sample_texts("lv")[::50], "", "\n\n", "a\n\n" * 300, "x" * (3 * LONG_LINE + 1), "īss\n" + "y " * 600]:
        pieces = _cut([text])
        lines = text.split("\n")
        kept = "".join("".join(piece.split()) for piece in pieces.texts)
        assert kept == "".join(text.split())
        covered = [line for first, end in zip(pieces.first, pieces.end, strict=True) for line in range(first, end)]
        assert {place for place, line in enumerate(lines) if line.strip()} <= set(covered)
        assert max(map(len, pieces.texts), default=0) <= LONG_LINE


def test_share_and_lines_of_a_foreign_part() -> None:
    own = latvian()[:6]
    document = "\n".join([*own[:3], "", *ENGLISH.split("\n"), "", *own[3:]])
    answer = identify([document, "\n".join(own), ENGLISH, ""], told(), CONFIGURED)
    assert answer["language"].to_list() == ["lv", "lv", "en", None]
    expected = len(ENGLISH) / (len(document) - document.count("\n"))
    assert answer["foreign_share"][0] == pytest.approx(expected, abs=0.02)
    assert answer["foreign_share"].to_list()[1:] == [0.0, 1.0, 0.0]
    assert answer["score"][0] == pytest.approx(1 - expected, abs=0.05) and answer["score"][3] == 0.0
    assert foreign_paragraphs([document, "\n".join(own)], told(), CONFIGURED) == [[4, 5], []]
    assert foreign_paragraphs([document], told(), [*CONFIGURED, "en"]) == [[]]


def test_names_numbers_and_short_lines_are_never_foreign() -> None:
    short = ["J. Smith & Sons Ltd", "Chapter 1", "2024-01-01 12:00 100 200 300", "if (x == 0) { return y; }", "USB 3.0"]
    assert foreign_paragraphs(
        ["\n".join([latvian()[0], line, latvian()[1]]) for line in short], told(), CONFIGURED
    ) == [[] for _ in short]


def test_a_very_long_line_goes_by_its_greater_part() -> None:
    own, other = " ".join(latvian()[:20]), ENGLISH.replace("\n", " ") * 4
    assert foreign_paragraphs([f"{own} {other}\n{other}"], told(), CONFIGURED) == [[1]]
    assert foreign_paragraphs([f"{other * 20} {latvian()[0]}"], told(), CONFIGURED) == [[0]]


def test_an_answer_depends_on_no_other_document() -> None:
    batch = sample_texts("lv")[:40] + sample_texts("et")[:40]
    whole = identify(batch, told(), CONFIGURED)
    for place in (0, 17, 55, 79):
        assert identify([batch[place]], told(), CONFIGURED).row(0) == whole.row(place)
    assert identify([], told(), CONFIGURED).schema == whole.schema


@needs_shared_text
def test_a_mixed_document_has_the_language_of_most_of_its_text() -> None:
    drawn = random.Random(1)
    names = {"lv": "lvtb", "et": "riigikogu_bill_summaries", "en": "ud_ewt", "ru": "ud_taiga"}
    lines = {
        language: [line for text in texts(language, source) for line in text.split("\n") if len(line) > 60]
        for language, source in names.items()
    }
    batch, expected = [], []
    for _ in range(400):
        most, least = drawn.sample(sorted(lines), 2)
        parts = [drawn.choice(lines[most])[:400] for _ in range(12)] + [
            drawn.choice(lines[least])[:200] for _ in range(8)
        ]
        sizes = sum(map(len, parts[:12])), sum(map(len, parts[12:]))
        drawn.shuffle(parts)
        batch.append("\n".join(parts))
        expected.append(most if sizes[0] > sizes[1] else least)
    found = identify(batch, told(), CONFIGURED)["language"].to_list()
    assert sum(a == b for a, b in zip(found, expected, strict=True)) >= 0.97 * len(batch)


@needs_shared_text
@pytest.mark.parametrize("language", ["lv", "et"])
def test_hardly_anything_is_foreign_in_text_of_one_language(language: str) -> None:
    """What is found in these sources by their whole text is foreign indeed: quotations, passports' English, three
    statutes of which more than half is Russian (0.0047 of the characters)."""
    for source in sources(language):
        if source not in HISTORICAL:
            batch = documents(language, source, 150)
            shares = identify(batch, told(), CONFIGURED)["foreign_share"]
            characters = sum(share * len(text) for share, text in zip(shares, batch, strict=True))
            assert characters <= 0.006 * sum(map(len, batch)), source
            assert (shares > 0.5).sum() <= 1, source


@needs_shared_text
def test_single_sentences_cut_short() -> None:
    path = SHARED / "eval" / "multi" / "ntrex128.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    least = {"en": 0.85, "fi": 0.97, "lt": 0.97, "ru": 0.85}
    for language in ("lv", "et", *least):
        batch = [row[language][:75] for row in rows if len(row[language]) >= 75]
        share = sum(map(bool, foreign_paragraphs(batch, told(), CONFIGURED))) / len(batch)
        assert share == 0 if language in CONFIGURED else share >= least[language], (language, share)


@needs_shared_text
def test_statutes_in_two_languages() -> None:
    """Treaties printed line by line in Latvian and English, French or German."""
    batch = texts("mul", "likumi_bilingual")[::4]
    counts = {("lv", False): 0, ("lv", True): 0, ("foreign", False): 0, ("foreign", True): 0}
    for text, found in zip(batch, foreign_paragraphs(batch, told(), CONFIGURED), strict=True):
        foreign = set(found)
        for number, line in enumerate(text.split("\n")):
            if language := by_words(line):
                counts[language, number in foreign] += 1
    print(counts)
    assert counts["foreign", True] >= 0.98 * (counts["foreign", True] + counts["foreign", False])
    assert counts["lv", True] <= 0.003 * (counts["lv", True] + counts["lv", False])
