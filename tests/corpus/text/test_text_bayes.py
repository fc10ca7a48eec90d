"""The batch evaluation of py3langid's model against py3langid itself."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from tests.corpus.text.real import SHARED, needs_shared_text, sample_texts, sources, texts

from eurolm.corpus.text import bayes


@cache
def reference() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def model() -> bayes.Bayes:
    return bayes.load()


def assert_same(batch: Sequence[str]) -> None:
    labels, scores = model().classify(batch)
    expected = [reference().classify(text) for text in batch]
    assert labels == [label for label, _ in expected]
    assert np.abs(scores - [score for _, score in expected]).max() < 1e-5


def cuts(language: str, source: str, count: int) -> list[str]:
    """Windows of many lengths out of a source."""
    random_cut = random.Random(f"{language}/{source}")
    drawn = [random_cut.choice(texts(language, source)) for _ in range(count)]
    starts = [random_cut.randrange(max(1, len(text) - 20)) for text in drawn]
    lengths = [random_cut.choice([5, 20, 60, 150, 400, 1000]) for _ in drawn]
    return [text[start : start + length] for text, start, length in zip(drawn, starts, lengths, strict=True)]


def test_same_answers_on_the_sample() -> None:
    assert_same([text[:400] for language in ("lv", "et") for text in sample_texts(language)[::8]])


@needs_shared_text
def test_same_answers_on_text_of_all_languages() -> None:
    languages = sorted(path.name for path in (SHARED / "text").iterdir())
    batch = [cut for language in languages for source in sources(language) for cut in cuts(language, source, 90)]
    assert len(batch) > 3000 and len(languages) == 8
    assert_same(batch)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=80), min_size=1, max_size=8))
def test_same_answers_on_any_characters(batch: list[str]) -> None:
    assert_same(batch)


def test_same_answers_on_odd_texts() -> None:
    assert_same(["", "\0", "a\0b", "\ud800", "🤘" * 9, "12 345", "SAEIMA PIEŅEM LIKUMU", "e\u0304 a\u0304", "ß", " \n"])
    assert_same(["ā" * bayes.BLOCK_BYTES, "Riigikogu võttis seaduse vastu", "x" * (bayes.BLOCK_BYTES + 1), ""])
    labels, scores = model().classify([])
    assert labels == [] and scores.shape == (0,)


def test_an_answer_depends_on_no_other_text() -> None:
    batch = [text[:600] for text in sample_texts("lv")[::40] + sample_texts("et")[::40]]
    labels, scores = model().classify(batch)
    for place in range(0, len(batch), 7):
        alone, score = model().classify([batch[place]])
        assert alone == [labels[place]]
        assert score[0] == scores[place]


def test_lanes_that_start_in_a_wrong_state_are_walked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bayes, "WARM_UP_BYTES", 0)
    assert_same([text[:400] for text in sample_texts("et")[::100]])
