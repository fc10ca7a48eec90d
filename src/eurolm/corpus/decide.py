"""Pass two: what happens to every document, from the measured attributes alone.

Rules are asked in a fixed order and a document leaves with the name of the first it fails: repeated id, language,
quality, exact duplicate, near duplicate. Of duplicates a held-out document is kept before others, so that held-out
text stays what it is when a source is added and nothing like it remains in training; then the order is that of the
sources in the config, the longest text, the lowest id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.duplicates import Buckets, Ints, Match, buckets, exact_duplicates, near_duplicates
from eurolm.corpus.rules import RULES, first_failed
from eurolm.corpus.shingles import UInts

REPEATED_ID, LANGUAGE = "repeated_id", "language"
EXACT, NEAR, LIKE_HELDOUT = "exact_duplicate", "near_duplicate", "heldout_duplicate"
RULE_NAMES: tuple[str, ...] = (REPEATED_ID, LANGUAGE, *(rule.name for rule in RULES), EXACT, NEAR, LIKE_HELDOUT)
"""Every name a document can leave with, in order."""
LARGEST_CLUSTERS = 10


@dataclass(frozen=True)
class Standing:
    """Documents still standing when duplicates are sought, in order of preference."""

    index: Ints
    heldout: NDArray[np.bool_]


def judge(frame: pl.DataFrame, config: CorpusConfig) -> pl.DataFrame:
    """Columns `rule` (null: passed) and `value` added by every rule that looks at one document at a time.

    `frame` has `source` (place in the config) beside the measured attributes.
    """
    claims = [source.language for source in config.sources]
    claimed = frame["source"].replace_strict(list(range(len(claims))), claims, return_dtype=pl.String)
    told = frame.with_columns(claimed=claimed, repeated=~pl.col("id").is_first_distinct())
    known = pl.col("language").is_in(list(config.languages)) & (
        pl.col("claimed").is_null() | (pl.col("claimed") == pl.col("language"))
    )
    quality_rule, quality_value = _quality(config)
    return told.with_columns(
        rule=pl.when(pl.col("repeated"))
        .then(pl.lit(REPEATED_ID))
        .when(~known.fill_null(False))
        .then(pl.lit(LANGUAGE))
        .otherwise(quality_rule),
        value=pl.when(pl.col("repeated"))
        .then(pl.lit(None, pl.String))
        .when(~known.fill_null(False))
        .then(pl.format("{} {}", pl.col("language").fill_null("none"), pl.col("score").round(3)))
        .otherwise(quality_value.round(4).cast(pl.String)),
    ).drop("claimed", "repeated")


def _quality(config: CorpusConfig) -> tuple[pl.Expr, pl.Expr]:
    """First failed quality rule and its figure, by the document's language and whether its source is verbatim."""
    verbatim = pl.col("source").is_in([place for place, source in enumerate(config.sources) if source.verbatim])
    name, figure = pl.lit(None, pl.String), pl.lit(None, pl.Float64)
    for language, rules in sorted(config.languages.items()):
        for is_verbatim in (False, True):
            here = (pl.col("language") == language) & (verbatim == is_verbatim)
            failed = first_failed(rules, is_verbatim)
            name = pl.when(here).then(failed[0]).otherwise(name)
            figure = pl.when(here).then(failed[1]).otherwise(figure)
    return name, figure


def standing(judged: pl.DataFrame, dropped: NDArray[np.bool_]) -> Standing:
    """Rows not dropped, the document to keep first."""
    rows = judged.with_row_index("index").filter(pl.Series(~dropped))
    order = rows.sort(
        "heldout_group", "source", "characters", "id", descending=[True, False, True, False], maintain_order=True
    )
    return Standing(order["index"].to_numpy().astype(np.int64), order["heldout_group"].to_numpy())


@dataclass(frozen=True)
class Duplicates:
    """For each document (all rows of the corpus): the row it repeats, or -1, and how alike they are."""

    of: Ints
    similarity: NDArray[np.float64]
    near: NDArray[np.bool_]


def find_duplicates(
    judged: pl.DataFrame,
    config: CorpusConfig,
    signatures_of: Callable[[Ints], NDArray[np.uint32]],
    load_shingles: Callable[[Ints], Callable[[int], UInts]],
) -> Duplicates:
    """Exact, then near duplicates among the documents that passed the rules.

    `signatures_of(rows)` gives their signatures; `load_shingles(rows)` reads the shingle sets of candidates and
    returns the lookup by row.
    """
    of = np.full(len(judged), -1, np.int64)
    similarity, near = np.zeros(len(judged)), np.zeros(len(judged), np.bool_)
    passed = standing(judged, judged["rule"].is_not_null().to_numpy())
    hashes = np.array(judged["text_hash"].gather(passed.index).to_list(), dtype="V16")
    first = exact_duplicates(hashes)
    repeats = first != np.arange(len(first))
    of[passed.index[repeats]] = passed.index[first[repeats]]
    similarity[passed.index[repeats]] = 1.0
    distinct = Standing(passed.index[~repeats], passed.heldout[~repeats])
    for row, match in _near(distinct, config, signatures_of, load_shingles).items():
        of[row], similarity[row], near[row] = match.kept, match.similarity, True
    return Duplicates(of, similarity, near)


def _near(
    distinct: Standing,
    config: CorpusConfig,
    signatures_of: Callable[[Ints], NDArray[np.uint32]],
    load_shingles: Callable[[Ints], Callable[[int], UInts]],
) -> dict[int, Match]:
    settings = config.duplicates
    candidates: Buckets = buckets(signatures_of(distinct.index), settings.rows, distinct.heldout)
    lookup = load_shingles(distinct.index[candidates.members()])
    found = near_duplicates(
        candidates, distinct.heldout, lambda place: lookup(int(distinct.index[place])), settings.min_jaccard
    )
    return {
        int(distinct.index[place]): Match(int(distinct.index[match.kept]), match.similarity)
        for place, match in found.items()
    }


def verdicts(judged: pl.DataFrame, duplicates: Duplicates) -> pl.DataFrame:
    """Per document: `id, language, rule, value, heldout, cluster` (its size, for a kept document)."""
    repeats = duplicates.of >= 0
    kept = np.where(repeats, duplicates.of, 0)
    ids, held = judged["id"], judged["heldout_group"].to_numpy()
    like_heldout = repeats & held[kept] & ~held
    names = np.where(like_heldout, LIKE_HELDOUT, np.where(duplicates.near, NEAR, EXACT))
    told = judged.select("id", "language", "rule", "value", "heldout_group").with_columns(
        repeats=pl.Series(repeats),
        name=pl.Series(names.astype(str), dtype=pl.String),
        repeated=pl.format("{} of {}", pl.Series(duplicates.similarity).round(4), ids.gather(kept)),
        cluster=pl.Series(_cluster_sizes(duplicates)),
    )
    return told.select(
        "id",
        "language",
        rule=pl.when("repeats").then("name").otherwise("rule"),
        value=pl.when("repeats").then("repeated").otherwise("value"),
        heldout=pl.col("heldout_group") & ~pl.col("repeats") & pl.col("rule").is_null(),
        cluster="cluster",
    )


def roots(duplicates: Duplicates) -> Ints:
    """For each document the kept one its chain ends at: an exact copy of a near-duplicate has two steps to go."""
    root = np.where(duplicates.of >= 0, duplicates.of, np.arange(len(duplicates.of)))
    while not np.array_equal(root[root], root):
        root = root[root]
    return root


def _cluster_sizes(duplicates: Duplicates) -> Ints:
    sizes = np.bincount(roots(duplicates), minlength=len(duplicates.of)).astype(np.int64)
    return np.where(duplicates.of >= 0, 0, sizes)


def cluster_counts(duplicates: Duplicates) -> dict[str, Any]:
    """Clusters that hold an exact copy, and clusters that hold a near one."""
    root = roots(duplicates)
    repeats = duplicates.of >= 0
    return {
        "exact": len(np.unique(root[repeats & ~duplicates.near])),
        "near": len(np.unique(root[repeats & duplicates.near])),
    }
