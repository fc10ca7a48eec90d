"""Quality rules: each measures one figure of a document and compares it with one threshold of its language.

The figures follow Gopher (arXiv 2112.11446, table A1) and FineWeb-2. A word is a run of letters and digits everywhere;
FineWeb-2's tokenizers count punctuation as words too, which would drop three quarters of all Estonian legislation
("§ 1. (2)") for its share of alphabetic words. Both halves of a rule are polars expressions, so a rule judges a batch
at once and a threshold can change without measuring again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from eurolm.config.corpus import LanguageRules

WORD = r"\w+"
ALPHABETIC_WORD = r"[\d_]*\p{L}\w*"
SYMBOL = r"#|\.\.\.|…"


@dataclass(frozen=True)
class Rule:
    """`figure` is the name of the measured column; `drops` is true where the document must leave."""

    name: str
    figure: str
    drops: Callable[[LanguageRules], pl.Expr]


RULES: tuple[Rule, ...] = (
    Rule("language_score", "score", lambda rules: pl.col("score") < rules.min_language_score),
    Rule("min_words", "words", lambda rules: pl.col("words") < rules.min_words),
    Rule("max_words", "words", lambda rules: pl.col("words") > rules.max_words),
    Rule(
        "min_average_word_length",
        "average_word_length",
        lambda rules: pl.col("average_word_length") < rules.min_average_word_length,
    ),
    Rule(
        "max_average_word_length",
        "average_word_length",
        lambda rules: pl.col("average_word_length") > rules.max_average_word_length,
    ),
    Rule(
        "max_symbol_word_ratio",
        "symbol_word_ratio",
        lambda rules: pl.col("symbol_word_ratio") > rules.max_symbol_word_ratio,
    ),
    Rule(
        "min_alphabetic_word_share",
        "alphabetic_word_share",
        lambda rules: pl.col("alphabetic_word_share") < rules.min_alphabetic_word_share,
    ),
    Rule(
        "max_duplicate_line_share",
        "duplicate_line_share",
        lambda rules: pl.col("duplicate_line_share") > rules.max_duplicate_line_share,
    ),
    Rule("min_stopwords", "stopwords", lambda rules: pl.col("stopwords") < rules.min_stopwords),
)
"""In the order in which they are asked."""

APPLIES_TO_VERBATIM = frozenset({"language_score"})
"""Sources marked `verbatim` skip the other rules."""

FIGURES: tuple[str, ...] = (
    "words", "average_word_length", "symbol_word_ratio", "alphabetic_word_share", "duplicate_line_share", "stopwords",
)  # fmt: skip


def measure(frame: pl.DataFrame, languages: dict[str, LanguageRules]) -> pl.DataFrame:
    """`frame` (columns `text`, `language`) with the columns of `FIGURES` as Float64; rows in order.

    Documents of languages without rules get null: nothing asks for their figures.
    """
    known = pl.col("language").is_in(list(languages))
    text = pl.when(known).then(pl.col("text"))
    counted = frame.with_columns(
        words=text.str.count_matches(WORD).cast(pl.Float64),
        _letters=text.str.replace_all(r"\W+", "").str.len_chars(),
        _alphabetic=text.str.count_matches(ALPHABETIC_WORD),
        _symbols=text.str.count_matches(SYMBOL),
        duplicate_line_share=duplicate_line_share(text),
        stopwords=_stopwords(text, languages),
    )
    return counted.with_columns(
        average_word_length=_ratio("_letters", "words"),
        symbol_word_ratio=_ratio("_symbols", "words"),
        alphabetic_word_share=_ratio("_alphabetic", "words"),
    ).drop("_letters", "_alphabetic", "_symbols")


def _ratio(over: str, under: str) -> pl.Expr:
    """0 where the denominator is 0: a document without words fails the rules on words, not on NaN."""
    return pl.when(pl.col(under) > 0).then(pl.col(over) / pl.col(under)).when(pl.col(under) == 0).then(0.0)


def duplicate_line_share(text: pl.Expr) -> pl.Expr:
    """Share of non-empty lines that repeat an earlier one; 0 for a text without lines."""
    held = text.str.split("\n").list.eval(pl.element().str.strip_chars().filter(pl.element().str.contains(r"\S")))
    return pl.when(held.list.len() > 0).then(1.0 - held.list.n_unique() / held.list.len()).otherwise(0.0)


def _stopwords(text: pl.Expr, languages: dict[str, LanguageRules]) -> pl.Expr:
    """Occurrences of the stopwords of the document's own language."""
    count = pl.lit(None, dtype=pl.Float64)
    for language, rules in sorted(languages.items()):
        words = "|".join(re.escape(word.lower()) for word in rules.stopwords)
        own = text.str.to_lowercase().str.count_matches(rf"\b(?:{words})\b") if words else pl.lit(0)
        count = pl.when(pl.col("language") == language).then(own.cast(pl.Float64)).otherwise(count)
    return count


def first_failed(rules: LanguageRules, verbatim: bool) -> tuple[pl.Expr, pl.Expr]:
    """Expressions for the name of the first rule a document fails (null: none) and the figure it failed with."""
    asked = [rule for rule in RULES if not verbatim or rule.name in APPLIES_TO_VERBATIM]
    names = [pl.when(rule.drops(rules)).then(pl.lit(rule.name)) for rule in asked]
    figures = [pl.when(rule.drops(rules)).then(pl.col(rule.figure)) for rule in asked]
    return pl.coalesce(names), pl.coalesce(figures)
