"""The table of quality rules: a figure, a threshold of the document's language, and on which side of it to leave.

Thresholds are compared with stored figures, so that a new threshold measures nothing again. A rule is named after its
key in the config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from eurolm.config.corpus import CorpusConfig, CustomRule, LanguageRules
from eurolm.corpus.rules import repetition
from eurolm.corpus.rules.custom import column, load
from eurolm.errors import ConfigError

LEAST, GREATEST = "least", "greatest"


@dataclass(frozen=True)
class Rule:
    """Drops documents whose `figure` (a measured column) is below (`LEAST`) or above (`GREATEST`) the threshold, which
    is null where the rule is switched off; it depends on the rules of a language and the name of the detector."""

    name: str
    figure: str
    side: str
    threshold: Callable[[LanguageRules, str], float | None]
    of_language: bool = False

    def drops(self, limit: float) -> pl.Expr:
        """True where the document must leave."""
        figure = pl.col(self.figure)
        return figure < limit if self.side == LEAST else figure > limit


def _rule(name: str, figure: str, field: str | None = None) -> Rule:
    """A rule whose threshold is the field of its name; `min_` and `max_` say the side."""
    key = field or name
    side = LEAST if name.startswith("min_") else GREATEST
    return Rule(name, figure, side, lambda rules, _: getattr(rules, key))


def _ngrams(field: str, n: int, figure: str) -> Rule:
    return Rule(f"{field}.{n}", figure, GREATEST, lambda rules, _: getattr(rules, field).get(n))


RULES: tuple[Rule, ...] = (
    Rule("language_score", "score", LEAST, lambda rules, detector: rules.min_language_score.get(detector), True),
    Rule("max_foreign_share", "foreign_share", GREATEST, lambda rules, _: rules.max_foreign_share, True),
    _rule("min_words", "words"),
    _rule("max_words", "words"),
    _rule("min_average_word_length", "average_word_length"),
    _rule("max_average_word_length", "average_word_length"),
    _rule("max_symbol_word_ratio.hash", "hash_word_ratio", "max_symbol_word_ratio"),
    _rule("max_symbol_word_ratio.ellipsis", "ellipsis_word_ratio", "max_symbol_word_ratio"),
    _rule("max_bullet_line_share", "bullet_line_share"),
    _rule("max_ellipsis_line_share", "ellipsis_line_share"),
    _rule("min_alphabetic_word_share", "alphabetic_word_share"),
    _rule("min_stopwords", "stopwords"),
    _rule("min_punctuated_line_share", "punctuated_line_share"),
    _rule("max_short_line_share", "short_line_share"),
    _rule("max_duplicate_line_character_share", "duplicate_line_character_share"),
    _rule("max_newline_word_ratio", "newline_word_ratio"),
    _rule("max_duplicate_paragraph_share", "duplicate_paragraph_share"),
    _rule("max_duplicate_paragraph_character_share", "duplicate_paragraph_character_share"),
    _rule("max_duplicate_line_share", "duplicate_line_share"),
    _rule("max_duplicate_line_text_share", "duplicate_line_text_share"),
    *(_ngrams("max_top_ngram_share", n, f"top_{n}gram_share") for n in repetition.TOP),
    *(_ngrams("max_duplicate_ngram_share", n, f"duplicate_{n}gram_share") for n in repetition.DUPLICATE),
)
"""In the order in which they are asked: language, Gopher, FineWeb, Gopher's repetition."""


@dataclass(frozen=True)
class Answer:
    """What one rule says of one document. Null `threshold`: the rule is switched off; null `figure`: not measured."""

    rule: str
    figure: float | None
    threshold: float | None
    passed: bool


def _asked(custom: Sequence[CustomRule], verbatim: bool) -> Iterator[Rule]:
    """Rules for a document of a source; one marked `verbatim` answers for its language only."""
    yield from (rule for rule in RULES if rule.of_language or not verbatim)
    if not verbatim:
        for own in custom:
            yield Rule(own.name, column(own), LEAST, lambda *_, limit=own.min: limit)
            yield Rule(own.name, column(own), GREATEST, lambda *_, limit=own.max: limit)


def rule_names(config: CorpusConfig) -> tuple[str, ...]:
    """Every name a document can leave with, in the order asked."""
    return tuple(dict.fromkeys(rule.name for rule in _asked(config.rules, verbatim=False)))


def first_failed(
    rules: LanguageRules, detector: str, custom: Sequence[CustomRule], verbatim: bool
) -> tuple[pl.Expr, pl.Expr]:
    """Expressions for the name of the first rule a document fails (null: none) and the figure it failed with, over the
    columns of `measure`, `score` and `foreign_share`."""
    names, figures = [pl.lit(None, pl.String)], [pl.lit(None, pl.Float64)]
    for rule in _asked(custom, verbatim):
        limit = rule.threshold(rules, detector)
        if limit is not None:
            names.append(pl.when(rule.drops(limit)).then(pl.lit(rule.name)))
            figures.append(pl.when(rule.drops(limit)).then(pl.col(rule.figure)))
    return pl.coalesce(names), pl.coalesce(figures)


def answers(
    figures: Mapping[str, float | None],
    rules: LanguageRules,
    detector: str,
    custom: Sequence[CustomRule],
    verbatim: bool,
) -> list[Answer]:
    """What every rule says of one document, given its measured attributes: what `eurolm corpus explain` prints."""
    told = []
    for rule in _asked(custom, verbatim):
        limit, figure = rule.threshold(rules, detector), figures[rule.figure]
        failed = limit is not None and figure is not None and (figure < limit if rule.side == LEAST else figure > limit)
        told.append(Answer(rule.name, figure, limit, not failed))
    return told


def check_rules(config: CorpusConfig) -> None:
    """Raises ConfigError for rules that could not be asked, or would drop everything or nothing."""
    for language, rules in config.languages.items():
        _check_language(f"corpus.languages.{language}", rules, config.detection.detector)
    taken = {rule.name for rule in RULES}
    for own in config.rules:
        if own.name in taken:
            raise ConfigError(f"corpus.rules: {own.name} is the name of two rules. Give yours another one.")
        if own.min is None and own.max is None:
            raise ConfigError(f"corpus.rules: {own.name} would drop nothing: give it a min or a max.")
        taken.add(own.name)
        load(own)


def _check_language(key: str, rules: LanguageRules, detector: str) -> None:
    if detector not in rules.min_language_score:
        raise ConfigError(
            f"{key}.min_language_score has no threshold for corpus.detection.detector = {detector}, only for "
            f"{', '.join(rules.min_language_score) or 'none'}: one detector's scores say nothing about another's. "
            f"Add {detector}: 0 to take every score."
        )
    if (rules.min_stopwords or 0) > len(set(rules.stopwords)):
        raise ConfigError(
            f"{key}.min_stopwords = {rules.min_stopwords} drops every document: stopwords names "
            f"{len(set(rules.stopwords))}. Name more, or set min_stopwords: 0."
        )
    measured_of = {"max_top_ngram_share": repetition.TOP, "max_duplicate_ngram_share": repetition.DUPLICATE}
    for field, measured in measured_of.items():
        unknown = sorted(set(getattr(rules, field)) - set(measured))
        if unknown:
            raise ConfigError(
                f"{key}.{field} has n = {', '.join(map(str, unknown))}; measured are {measured[0]} to {measured[-1]}."
            )
