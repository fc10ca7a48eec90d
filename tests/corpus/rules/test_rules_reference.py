"""Every figure and every decision is that of datatrove 0.10.1, given the same words: frozen and live."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from benchmarks.environments import python_of
from tests.corpus.rules.reference import mutations

from eurolm.config.corpus import CorpusConfig, LanguageRules
from eurolm.corpus.rules.quality import measure
from eurolm.corpus.rules.table import RULES, first_failed
from eurolm.corpus.text.words import words_from

HERE = Path(__file__).with_name("reference")
FROZEN = json.loads((HERE / "reference.json").read_text())
FIGURE_OF = {rule.name: rule.figure for rule in RULES if not rule.of_language}
NEAR_PER_RULE = 200
WITHIN = 0.1
OFF: dict[str, Any] = dict.fromkeys(name for name in LanguageRules.model_fields if name.startswith(("min_", "max_")))
OFF |= {"min_language_score": {"py3langid": 0.0}, "max_top_ngram_share": {}, "max_duplicate_ngram_share": {}}


def rules(language: str, rule: str | None = None, threshold: float | None = None) -> LanguageRules:
    """No rule but one."""
    field, _, key = (rule or "").partition(".")
    on = {field: {int(key): threshold} if key.isdigit() else threshold} if rule else {}
    return LanguageRules.model_validate(OFF | {"stopwords": mutations.STOPWORDS[language]} | on)


def measured(texts: list[str], languages: list[str], words: list[list[str]]) -> pl.DataFrame:
    config = CorpusConfig(languages={language: rules(language) for language in ("lv", "et")})
    return measure(pl.Series(texts), pl.Series(languages), words_from(words), config)


def check_figures(reference: dict[str, Any]) -> None:
    documents = reference["figures"]
    ours = measured(*([document[key] for document in documents] for key in ("text", "language", "words")))
    for rule, figure in FIGURE_OF.items():
        theirs = [document["figures"][rule] for document in documents]
        assert sum(value is not None and value > 0 for value in theirs) >= 4, f"{rule} is not exercised"
        for document, value, own in zip(documents, theirs, ours[figure], strict=True):
            assert value is None or own == pytest.approx(value, rel=1e-9, abs=1e-9), (rule, document["text"])


def check_near(reference: dict[str, Any], rule: str) -> None:
    decisions = []
    texts_of = {language: mutations.sample(language) for language in ("lv", "et")}
    for language, entry in reference["near"][rule].items():
        threshold, documents = entry["threshold"], entry["documents"]
        texts = [
            mutations.document(rule, language, texts_of[language], number, amount) for number, amount, *_ in documents
        ]
        figures = measured(texts, [language] * len(texts), [mutations.words_in(text) for text in texts])
        name, figure = first_failed(rules(language, rule, threshold), "py3langid", [], verbatim=False)
        judged = figures.with_columns(score=1.0, foreign_share=0.0).select(name.alias("rule"), figure.alias("figure"))
        for (number, _, theirs, kept), own, verdict in zip(
            documents, figures[FIGURE_OF[rule]], judged.to_dicts(), strict=True
        ):
            assert own == pytest.approx(theirs, rel=1e-9, abs=1e-9), (rule, language, number)
            assert (verdict["rule"], verdict["figure"]) == ((None, None) if kept else (rule, own))
            assert rule == "min_stopwords" or abs(theirs - threshold) <= WITHIN * threshold
            decisions.append(kept)
    assert len(decisions) >= NEAR_PER_RULE
    assert 0.25 <= sum(decisions) / len(decisions) <= 0.75


def test_every_rule_has_a_reference() -> None:
    assert set(FIGURE_OF) == set(FROZEN["near"])
    assert FROZEN["datatrove"] == "0.10.1"


def test_figures_are_those_of_datatrove_with_its_own_words() -> None:
    check_figures(FROZEN)


@pytest.mark.parametrize("rule", FIGURE_OF)
def test_decisions_near_the_threshold_are_those_of_datatrove(rule: str) -> None:
    check_near(FROZEN, rule)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("first", [0, 100_000])
def test_live_datatrove_says_what_was_frozen_and_agrees_on_other_documents(first: int, tmp_path: Path) -> None:
    out = tmp_path / "live.json"
    subprocess.run([python_of("datatrove"), HERE / "make.py", "--first", str(first), "--out", out], check=True)
    live = json.loads(out.read_text())
    if first == 0:
        assert live == FROZEN, "run tests/corpus/rules/reference/make.py again"
    check_figures(live)
    for rule in FIGURE_OF:
        check_near(live, rule)
