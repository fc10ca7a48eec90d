"""Every rule on real text with the shipped thresholds: it drops what was made for it, and lets real text pass."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ruamel.yaml import YAML
from tests.corpus.rules.reference import mutations

from eurolm.config.corpus import CorpusConfig, CustomRule, LanguageRules
from eurolm.config.shipped import shipped
from eurolm.corpus.rules import quality
from eurolm.corpus.rules.table import RULES, answers, check_rules, first_failed, rule_names
from eurolm.corpus.sample.pick import read_records
from eurolm.corpus.text.words import words_of
from eurolm.errors import ConfigError

SHIPPED = {path.stem: path for path in sorted((shipped("configs") / "languages").glob("*.yaml"))}
ALSO_ON = {
    "max_words": 100, "max_short_line_share": 0.67, "max_duplicate_line_text_share": 0.2,
    "max_duplicate_paragraph_share": 0.3, "max_duplicate_paragraph_character_share": 0.2,
}  # fmt: skip
REAL = {"lv": ("lv_eltec", "lv_gnome_mate_help"), "et": ("et_riigi_teataja", "et_riigikogu_stenograms")}


def shipped_rules(language: str) -> dict[str, Any]:
    return YAML(typ="safe").load(SHIPPED[language])["corpus"]["languages"][language]


def config(*own: CustomRule, **changes: Any) -> CorpusConfig:
    languages = {language: shipped_rules(language) | changes for language in ("lv", "et")}
    return CorpusConfig(languages=languages, rules=list(own))


def figures(texts: list[str], languages: list[str], section: CorpusConfig) -> pl.DataFrame:
    series = pl.Series(texts, dtype=pl.String)
    measured = quality.measure(series, pl.Series(languages, dtype=pl.String), words_of(series), section)
    return measured.with_columns(score=pl.lit(1.0), foreign_share=pl.lit(0.0))


def failed(texts: list[str], language: str, verbatim: bool = False, **changes: Any) -> list[set[str]]:
    """Names of all rules that each text fails; the first of them is what `first_failed` says."""
    section = config(**changes)
    measured, rules = figures(texts, [language] * len(texts), section), section.languages[language]
    name, _ = first_failed(rules, "py3langid", [], verbatim)
    found = []
    for row, first in zip(measured.to_dicts(), measured.select(rule=name)["rule"], strict=True):
        failures = [answer.rule for answer in answers(row, rules, "py3langid", [], verbatim) if not answer.passed]
        assert first == (failures[0] if failures else None)
        found.append(set(failures))
    return found


@pytest.mark.parametrize("language", SHIPPED)
def test_shipped_rules_can_be_asked_and_their_stopwords_are_words(language: str) -> None:
    rules = LanguageRules.model_validate(shipped_rules(language))
    assert all(isinstance(word, str) for word in shipped_rules(language)["stopwords"])
    for detector in rules.min_language_score:
        check_rules(CorpusConfig(languages={language: rules}, detection={"detector": detector}))
    assert {"lv": "no", "et": "on"}.get(language, rules.stopwords[0]) in rules.stopwords


@pytest.mark.parametrize("language", ["lv", "et"])
@pytest.mark.parametrize("rule", mutations.DAMAGE)
def test_each_rule_drops_the_text_made_for_it_and_passes_the_other(rule: str, language: str) -> None:
    sample = [text for text in mutations.sample(language) if "1.pants" not in text]  # whose articles stand twice
    much = {"min_words": 237, "min_average_word_length": 240, "min_alphabetic_word_share": 240}.get(rule, 200)
    # Long passages repeat short n-grams too, and more of them.
    damage = "max_duplicate_ngram_share.10" if rule.startswith("max_duplicate_ngram_share") else rule
    texts = [mutations.document(damage, language, sample, 1, amount) for amount in (0, much)]
    if rule == "min_stopwords":
        texts[1] = re.sub(r"\w{1,7}", "xyzq", texts[1])
    whole, damaged = failed(texts, language, **ALSO_ON)
    # Of these two the damage is what the rule asks for: it cuts the text short, it punctuates lines.
    helped = rule in ("max_words", "min_punctuated_line_share")
    assert (rule in whole, rule in damaged) == (helped, not helped)
    if rule not in ALSO_ON:
        assert rule in failed(texts, language)[not helped]
    assert failed(texts, language, verbatim=True) == [set(), set()]


@pytest.mark.parametrize(("language", "source"), [(language, name) for language in REAL for name in REAL[language]])
def test_real_text_passes(language: str, source: str) -> None:
    records = read_records(mutations.SAMPLE / f"{source}.jsonl.zst")[:100]
    dropped = sum(bool(rules) for rules in failed([record["text"] for record in records], language))
    assert dropped <= 0.1 * len(records)


def test_low_language_score_and_foreign_share_drop_even_verbatim_text() -> None:
    section = config()
    measured = figures(["Šis ir teksts."], ["lv"], section)
    for column, value, rule in (("score", 0.31, "language_score"), ("foreign_share", 0.9, "max_foreign_share")):
        name, figure = first_failed(section.languages["lv"], "py3langid", [], verbatim=True)
        told = measured.with_columns(pl.lit(value).alias(column)).select(name.alias("rule"), figure.alias("figure"))
        assert told.row(0) == (rule, value)


def test_a_document_is_measured_alike_alone_and_in_any_batch() -> None:
    records = [*read_records(mutations.SAMPLE / "lv_eltec.jsonl.zst")[:30]]
    records += read_records(mutations.SAMPLE / "et_kde_docs.jsonl.zst")[:20]
    texts = [part for record in records for part in (record["text"], "", record["text"][:60], "\n\n")]
    languages = [("lv", "et", "fi", None)[number % 4] if number % 3 else "lv" for number in range(len(texts))]
    section = config()
    together = figures(texts, languages, section)
    assert together["words"].sum() > 2 * 32768
    alone = [figures([text], [language], section) for text, language in zip(texts, languages, strict=True)]
    assert together.equals(pl.concat(alone))
    known = pl.Series(languages).is_in(["lv", "et"]).fill_null(False)
    assert together["words"].is_not_null().equals(known)
    assert set(together.schema.values()) == {pl.Float64}


def test_texts_without_lines_or_words_are_no_accident() -> None:
    measured = figures(["", "\n\n", "***\n***\n***\n***"], ["lv"] * 3, config())
    assert measured["duplicate_line_share"].to_list() == [0.0, 0.5, 0.75]
    assert [{"min_words"} <= rules for rules in failed(["", "\n\n", "***"], "lv")] == [True] * 3
    assert figures([], [], config()).height == 0


@pytest.mark.parametrize("text", ["ā" * 3_000_000, "a " * 80_000, "\n" * 1_000_000])
def test_one_very_long_document_needs_little_memory(text: str) -> None:
    series = pl.Series([text])
    words, section = words_of(series), config()
    tracemalloc.start()
    quality.measure(series, pl.Series(["lv"]), words, section)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 160 * len(text)


OWN = """
def shouting(texts, languages):
    return [sum(c.isupper() for c in text) / len(text) for text in texts]
def short(texts, languages): return [1.0]
def words(texts, languages): return ["many" for _ in texts]
def missing(texts, languages): return [None for _ in texts]
def broken(texts, languages): return [1 / 0 for _ in texts]
number = 3
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "rules_of_mine.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "rules_of_mine"


def test_a_rule_of_the_users_own(own_module: str) -> None:
    own = CustomRule(name="shouting", function=f"{own_module}:shouting", max=0.5)
    section = config(own)
    check_rules(section)
    assert rule_names(section) == (*(rule.name for rule in RULES), "shouting")
    text = "Šis ir parasts teikums, un tas ir garš."
    measured = figures([text, text.upper(), text.upper()], ["lv", "lv", "fi"], section)
    assert quality.figure_names(section)[-1] == "own.shouting" and measured["own.shouting"][2] is None
    name, figure = first_failed(LanguageRules(min_stopwords=None), "py3langid", section.rules, verbatim=False)
    told = measured[:2].select(name.alias("rule"), figure.alias("figure"))
    assert told["rule"].to_list() == [None, "shouting"] and told["figure"][1] > 0.5
    last = answers(measured.row(1, named=True), section.languages["lv"], "py3langid", section.rules, verbatim=False)[-1]
    assert (last.rule, last.threshold, last.passed) == ("shouting", 0.5, False)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("no_such_module:f", "cannot be imported"), ("rules_of_mine:nothing", "cannot be imported"),
        ("rules_of_mine:number", "is no function"), ("rules_of_mine:short", "for 2 documents"),
        ("rules_of_mine:words", "something else than numbers"), ("rules_of_mine:missing", "no number for 2 of 2"),
        ("rules_of_mine:broken", "failed"),
    ],
)  # fmt: skip
def test_a_function_that_does_not_work_is_a_config_error(own_module: str, function: str, said: str) -> None:
    section = config(CustomRule(name="mine", function=function, max=1))
    with pytest.raises(ConfigError, match=said):
        figures(["viens", "divi"], ["lv", "et"], section)


@pytest.mark.parametrize(
    ("own", "changes", "said"),
    [
        ([], {"min_language_score": {"glotlid": 0.3}}, "no threshold for corpus.detection.detector = py3langid"),
        ([], {"stopwords": []}, "drops every document"),
        ([], {"max_top_ngram_share": {5: 0.1}}, "n = 5; measured are 2 to 4"),
        ([{"name": "min_words", "function": "os:getpid", "max": 1}], {}, "two rules"),
        ([{"name": "mine", "function": "os:getpid"}], {}, "would drop nothing"),
    ],
)
def test_rules_that_cannot_work_are_refused(own: list[dict[str, Any]], changes: dict[str, Any], said: str) -> None:
    section = CorpusConfig(languages={"lv": shipped_rules("lv") | changes}, rules=own)
    with pytest.raises(ConfigError, match=said):
        check_rules(section)
