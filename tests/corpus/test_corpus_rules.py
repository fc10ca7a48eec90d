"""Every quality rule on real text: what it measures, that it drops what was planted and lets real text pass."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from tests.corpus.building import build, config, language_rules, report, sample, write_source

from eurolm.config.corpus import LanguageRules
from eurolm.corpus.rules import RULES, duplicate_line_share, first_failed, measure

RULES_OF = {language: LanguageRules(**values) for language, values in language_rules().items()}
LV = [record["text"] for record in sample("lv_likumi", 40) + sample("lv_eltec", 10)]
ET = [record["text"] for record in sample("et_riigi_teataja", 40) + sample("et_kde_docs", 10)]


def figures(texts: list[str], language: str) -> pl.DataFrame:
    frame = pl.DataFrame({"text": texts, "language": [language] * len(texts), "score": [1.0] * len(texts)})
    return measure(frame, RULES_OF)


def failed(texts: list[str], language: str, verbatim: bool = False) -> list[str | None]:
    name, _ = first_failed(RULES_OF[language], verbatim)
    return figures(texts, language).select(name.alias("rule"))["rule"].to_list()


def test_shipped_stopwords_are_words_and_not_booleans() -> None:
    assert "no" in RULES_OF["lv"].stopwords
    assert "on" in RULES_OF["et"].stopwords
    assert all(isinstance(word, str) for rules in RULES_OF.values() for word in rules.stopwords)


@pytest.mark.parametrize(("language", "texts"), [("lv", LV), ("et", ET)])
def test_figures_are_what_plain_python_counts(language: str, texts: list[str]) -> None:
    # Superscripts are \w in Python and not in Rust.
    measured = figures([re.sub(r"[⁰-⁹¹²³½¼¾]", "", text) for text in texts], language)
    stopwords = set(RULES_OF[language].stopwords)
    for row in measured.to_dicts():
        words = re.findall(r"\w+", row["text"])
        lines = [line.strip() for line in row["text"].split("\n") if line.strip()]
        assert row["words"] == len(words)
        assert row["average_word_length"] == pytest.approx(sum(map(len, words)) / len(words), abs=1e-12)
        alphabetic = sum(any(character.isalpha() for character in word) for word in words)
        assert row["alphabetic_word_share"] == pytest.approx(alphabetic / len(words), abs=1e-12)
        symbols = row["text"].count("#") + row["text"].count("…") + len(re.findall(r"\.\.\.", row["text"]))
        assert row["symbol_word_ratio"] == pytest.approx(symbols / len(words), abs=1e-12)
        assert row["duplicate_line_share"] == pytest.approx(1 - len(set(lines)) / len(lines), abs=1e-12)
        assert row["stopwords"] == sum(word.lower() in stopwords for word in words)


@pytest.mark.parametrize(("language", "texts"), [("lv", LV), ("et", ET)])
def test_real_text_passes(language: str, texts: list[str]) -> None:
    assert sum(rule is not None for rule in failed(texts, language)) <= 0.05 * len(texts)


def planted(rule: str, text: str) -> str:
    """A real text changed so that this rule, and none before it, drops it."""
    words = text.split()
    changes = {
        "min_words": " ".join(words[:3]),
        "max_words": " ".join((words * (2_600_000 // len(words) + 1))[:2_600_000]),
        "min_average_word_length": " ".join(letter for word in words for letter in word),
        "max_average_word_length": " ".join("".join(words[start : start + 6]) for start in range(0, len(words), 6)),
        "max_symbol_word_ratio": " ... ".join(words[:300]),
        "min_alphabetic_word_share": text + " 12 345" * len(words),
        "max_duplicate_line_share": "\n".join([text] * 3),
        "min_stopwords": re.sub(r"\w+", lambda word: word[0] if len(word[0]) > 6 else "", text),
    }
    return changes[rule]


@pytest.mark.parametrize("rule", [rule.name for rule in RULES if rule.name != "language_score"])
@pytest.mark.parametrize(("language", "text"), [("lv", LV[3]), ("et", ET[3])])
def test_each_rule_drops_what_was_planted_for_it(rule: str, language: str, text: str) -> None:
    plain = re.sub(r"[^\w\s,.]|\d|_", "", text).replace("..", "")
    assert failed([plain], language) == [None]
    assert failed([planted(rule, plain)], language) == [rule]
    assert failed([planted(rule, plain)], language, verbatim=True) == [None]


def test_low_language_score_drops_even_verbatim_text() -> None:
    name, figure = first_failed(RULES_OF["lv"], verbatim=True)
    measured = figures(LV[:1], "lv").with_columns(score=pl.lit(0.31))
    assert measured.select(name.alias("rule"), figure.alias("figure")).row(0) == ("language_score", 0.31)


def test_texts_without_lines_or_words_are_no_accident() -> None:
    texts = ["", "\n\n", "***\n***\n***\n***"]
    shares = pl.DataFrame({"text": texts}).select(share=duplicate_line_share(pl.col("text")))["share"].to_list()
    assert shares == [0.0, 0.0, 0.75]
    assert failed(texts, "lv") == ["min_words"] * 3


def test_a_document_leaves_with_the_name_and_figure_of_its_first_rule(tmp_path: Path) -> None:
    good = sample("lv_likumi", 5)
    bad = {"id": "bad", "text": "\n".join(["Šis ir tas pats teikums, kas jau bija un atkal ir."] * 8)}
    write_source(tmp_path / "a.jsonl", [*good, bad])
    out = build(tmp_path, config([{"name": "a", "paths": ["a.jsonl"]}]))
    dropped = pq.read_table(out / "dropped" / "a" / "00000.parquet").to_pylist()
    assert [(row["rule"], row["value"]) for row in dropped] == [("max_duplicate_line_share", "0.875")]
    shown = report(out)["samples"]["dropped"]["max_duplicate_line_share"][0]
    assert shown["excerpt"].startswith("Šis ir tas") and shown["value"] == "0.875"
