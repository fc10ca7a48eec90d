"""What happens to a document for its own sake: language, permission, quality. A pure function of its attributes.

Rules are asked in a fixed order and a document leaves with the name of the first it fails.
"""

from __future__ import annotations

import polars as pl

from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.permissions import loaded, refusals
from eurolm.corpus.rules.table import first_failed

LANGUAGE = "language"


def judge(frame: pl.DataFrame, config: CorpusConfig, source: int) -> pl.DataFrame:
    """Columns `rule` (null: passed) and `value`, a row per document of a unit of the source at place `source`."""
    claim = config.sources[source].language
    known = pl.col("language").is_in(list(config.languages))
    if claim is not None:
        known = known & (pl.col("language") == claim)
    refused, cause = refusals(frame, config, loaded(config.opt_out))
    name, figure = _quality(config, config.sources[source].verbatim)
    stranger = ~known.fill_null(False)
    return frame.with_columns(refused.alias("refused"), cause.alias("cause")).select(
        rule=pl.when(pl.col("refused").is_not_null())
        .then("refused")
        .when(stranger)
        .then(pl.lit(LANGUAGE))
        .otherwise(name),
        value=pl.when(pl.col("refused").is_not_null())
        .then("cause")
        .when(stranger)
        .then(pl.format("{} {}", pl.col("language").fill_null("none"), pl.col("score").round(3)))
        .otherwise(figure.round(4).cast(pl.String)),
    )


def _quality(config: CorpusConfig, verbatim: bool) -> tuple[pl.Expr, pl.Expr]:
    """First failed quality rule and its figure, by the document's language."""
    name, figure = pl.lit(None, pl.String), pl.lit(None, pl.Float64)
    for language, rules in sorted(config.languages.items()):
        here = pl.col("language") == language
        failed = first_failed(rules, config.detection.detector, config.rules, verbatim)
        name = pl.when(here).then(failed[0]).otherwise(name)
        figure = pl.when(here).then(failed[1]).otherwise(figure)
    return name, figure
