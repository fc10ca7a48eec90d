"""Detectors, what they refuse, and the languages of documents: the must-show of language identification."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.corpus.text.real import HISTORICAL, LANGUAGES, documents, needs_shared_text, sample_texts, sources

from eurolm.config.corpus import CorpusConfig, LanguageDetection
from eurolm.corpus.text.language import check_languages, detector
from eurolm.corpus.text.paragraphs import identify
from eurolm.errors import ConfigError

OTHER = "other"


def corpus(languages: dict[str, dict[str, Any]], **detection: Any) -> CorpusConfig:
    return CorpusConfig.model_validate({"languages": languages, "detection": detection})


def languages_of(batch: list[str]) -> Counter[str | None]:
    return Counter(identify(batch, detector(LanguageDetection()), ["lv", "et"])["language"])


def confusion(count: int | None) -> dict[str, Counter[str | None]]:
    """Documents of each language by the language found, modern sources only; printed as a table."""
    table = {
        language: sum(
            (languages_of(documents(language, name, count)) for name in sources(language) if name not in HISTORICAL),
            Counter[str | None](),
        )
        for language in (*LANGUAGES, "ltg")
    }
    columns = [*LANGUAGES, "ltg", OTHER]
    print("\nis \\ found" + "".join(f"{name:>8}" for name in columns) + "   right")
    for language, found in table.items():
        others = found.total() - sum(found[name] for name in columns)
        cells = "".join(f"{found[name] or (others if name == OTHER else 0):>8}" for name in columns)
        print(f"{language:>10}{cells}  {found[language] / found.total():7.4f}")
    return table


def check(table: dict[str, Counter[str | None]]) -> None:
    for language, found in table.items():
        least = 0.995 if language in ("lv", "et") else 0.985
        assert found[language] >= least * found.total(), (language, found.most_common(4))
    assert table["ltg"]["lv"] == 0
    assert not table["lv"]["ltg"] and not table["lv"]["lt"] and not table["et"]["fi"]


@needs_shared_text
def test_documents_of_seven_languages() -> None:
    check(confusion(120))


@needs_shared_text
@pytest.mark.long
def test_all_documents_of_seven_languages() -> None:
    check(confusion(None))


def test_the_sample_is_in_its_languages() -> None:
    for language in ("lv", "et"):
        batch = [text for text in sample_texts(language) if len(text) >= 150][::3]
        assert languages_of(batch)[language] >= 0.995 * len(batch)


def test_text_without_letters_has_no_language() -> None:
    language, score = detector(LanguageDetection()).detect(["1234 5678 --- 90", "", "Saeima pieņēma valodas likumu."])
    assert language.to_list() == [None, None, "lv"]
    assert score.to_list()[:2] == [0.0, 0.0] and 0.5 < score[2] <= 1
    empty = detector(LanguageDetection()).detect([])
    assert [len(series) for series in empty] == [0, 0]


def test_a_detector_is_loaded_once() -> None:
    assert detector(LanguageDetection()) is detector(LanguageDetection(foreign_paragraphs="remove"))


def test_languages_that_cannot_be_told_are_refused() -> None:
    check_languages(corpus({"lv": {}, "et": {}, "ltg": {}}))
    with pytest.raises(ConfigError, match=r"corpus\.languages has liv, vro, which .* \(py3langid\) cannot tell"):
        check_languages(corpus({"lv": {}, "vro": {}, "liv": {}}))


def test_a_threshold_belongs_to_a_detector() -> None:
    with pytest.raises(ConfigError, match=r"languages\.et\.min_language_score has no threshold .* py3langid"):
        check_languages(corpus({"lv": {}, "et": {"min_language_score": {"glotlid": 0.6}}}))


@pytest.mark.parametrize(
    ("detection", "message"),
    [
        ({"detector": "glotlid"}, "detection.model gives no file"),
        ({"model": "model.bin"}, "Give the model a name of its own"),
        ({"detector": "glotlid", "model": "nowhere/model.bin"}, "nowhere/model.bin is not a file"),
    ],
)
def test_settings_that_name_no_model_are_refused(detection: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        detector(LanguageDetection.model_validate(detection))
