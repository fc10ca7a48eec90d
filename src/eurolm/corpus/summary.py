"""Counts and samples: of one unit while it is written, then of the whole corpus for `report.json`.

Samples are those with the lowest ids, which are hashes: as good as drawn at random, and the same for every run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.contamination.clean import RULES as CLEANING
from eurolm.corpus.decide import EXACT, LIKE_HELDOUT, NEAR, REPEATED_ID
from eurolm.corpus.judge import LANGUAGE
from eurolm.corpus.permissions import RULES as PERMISSIONS
from eurolm.corpus.rules.table import rule_names
from eurolm.corpus.sources.records import Tally
from eurolm.corpus.sources.units import Unit

COUNTS = (
    "read", "read_bytes", "invalid", "outside_sample", "kept", "kept_bytes", "heldout", "heldout_bytes", "repaired",
)  # fmt: skip
TABLES = (
    "invalid_causes", "skipped", "dropped", "dropped_bytes", "language", "heldout_language", "detected", "personal",
    "removed",
)  # fmt: skip
LARGEST_CLUSTERS = 10
FUNNEL_KEPT, FUNNEL_HELDOUT = "kept", "held out"


def all_rules(config: CorpusConfig) -> tuple[str, ...]:
    """Every name a document can leave with, in the order in which it is asked."""
    return (REPEATED_ID, *PERMISSIONS, LANGUAGE, *rule_names(config), EXACT, NEAR, LIKE_HELDOUT, *CLEANING.values())


def summarise(told: pl.DataFrame, samples: int) -> dict[str, Any]:
    """Of a unit's documents beside their verdicts; needs the columns that `write` joins, without the text."""
    planted = told.with_columns(planted=_planted(told))
    passed = planted.filter(pl.col("rule").is_null())
    gone = planted.filter(pl.col("rule").is_not_null())
    kept, heldout = passed.filter(~pl.col("heldout")), passed.filter("heldout")
    return {
        "counts": {
            "read": len(told),
            "read_bytes": int(told["read_bytes"].sum()),
            "kept": len(kept),
            "kept_bytes": int(kept["bytes"].sum()),
            "heldout": len(heldout),
            "heldout_bytes": int(heldout["bytes"].sum()),
            "repaired": int(passed["repaired"].sum()),
        },
        "tables": {
            "dropped": _counted(gone["rule"]),
            "dropped_bytes": _summed(gone, "rule", "read_bytes"),
            "language": _counted(kept["language"]),
            "heldout_language": _counted(heldout["language"]),
            "detected": _counted(told["language"].fill_null("none")),
            "personal": _totals_of(passed, "personal_"),
            "removed": _totals_of(passed, "removed_"),
        },
        "funnel": _funnel(told),
        "lengths": _lengths(kept),
        "samples": {
            "kept": _lowest(kept, samples, ("id", "source", "language", "excerpt")),
            "dropped": {
                str(rule): _lowest(part, samples, ("id", "source", "language", "excerpt", "value", "planted"))
                for (rule,), part in gone.group_by("rule", maintain_order=True)
            },
        },
        "largest": _largest(passed),
        "planted": _planted_counts(planted),
    }


def build_report(
    config: CorpusConfig, units: Sequence[Unit], tallies: Sequence[Tally], summaries: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """What all units say together, in their order: `report.json` but for duplicates and contamination."""
    sources = {source.name: _empty_source() for source in config.sources}
    for unit, tally, summary in zip(units, tallies, summaries, strict=True):
        _add(sources[config.sources[unit.source].name], tally, summary)
    largest = [item for each in summaries for item in each["largest"]]
    largest.sort(key=lambda item: (-item["size"], item["id"]))
    return {
        "sources": sources,
        "rules": list(all_rules(config)),
        "samples": _merged_samples(summaries, config),
        "largest_clusters": largest[:LARGEST_CLUSTERS],
        "funnel": _merged_tables([summary["funnel"] for summary in summaries]),
        "lengths": _merged_tables([summary["lengths"] for summary in summaries]),
        "totals": _totals(sources),
        "planted": _merged_planted(summaries),
    }


def _planted(told: pl.DataFrame) -> pl.Series:
    """Kind of noise that whoever made the record planted there, null for real documents."""
    return told.select(pl.col("meta").str.json_path_match("$.planted"))["meta"]


def _counted(values: pl.Series) -> dict[str, int]:
    return dict(sorted(Counter(values.to_list()).items()))


def _summed(frame: pl.DataFrame, by: str, column: str) -> dict[str, int]:
    return dict(sorted(frame.group_by(by).agg(pl.col(column).sum()).iter_rows()))


def _totals_of(frame: pl.DataFrame, prefix: str) -> dict[str, int]:
    """Sums of the columns with this prefix, those that are not zero."""
    sums = {name.removeprefix(prefix): int(frame[name].sum()) for name in frame.columns if name.startswith(prefix)}
    return {name: value for name, value in sorted(sums.items()) if value}


def _funnel(told: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Detected language → what became of its documents."""
    fate = pl.coalesce("rule", pl.when("heldout").then(pl.lit(FUNNEL_HELDOUT)).otherwise(pl.lit(FUNNEL_KEPT)))
    counted = told.group_by(pl.col("language").fill_null("none"), fate.alias("fate")).len().sort("language", "fate")
    funnel: dict[str, dict[str, int]] = {}
    for language, name, count in counted.iter_rows():
        funnel.setdefault(language, {})[name] = count
    return funnel


def _lengths(kept: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Language → documents by length: the key is the power of two of characters that a document reaches."""
    power = pl.col("characters").cast(pl.Float64).clip(1).log(2).floor().cast(pl.Int64)
    counted = kept.group_by("language", power.alias("power")).len().sort("language", "power")
    lengths: dict[str, dict[str, int]] = {}
    for language, exponent, count in counted.iter_rows():
        lengths.setdefault(language, {})[str(2**exponent)] = count
    return lengths


def _lowest(frame: pl.DataFrame, samples: int, names: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = frame.select(names).sort("id").head(samples).to_dicts()
    return [{name: value for name, value in row.items() if name != "planted" or value is not None} for row in rows]


def _largest(passed: pl.DataFrame) -> list[dict[str, Any]]:
    groups = passed.filter(pl.col("cluster") > 1).sort("cluster", "id", descending=[True, False])
    return groups.head(LARGEST_CLUSTERS).select("id", "source", "heldout", "excerpt", size="cluster").to_dicts()


def _planted_counts(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    counts: dict[str, dict[str, Any]] = {}
    for (kind,), part in frame.filter(pl.col("planted").is_not_null()).group_by("planted", maintain_order=True):
        by_rule = _counted(part["rule"].drop_nulls())
        counts[str(kind)] = {"planted": len(part), "caught": sum(by_rule.values()), "rules": by_rule}
    return counts


def _empty_source() -> dict[str, Any]:
    return {**dict.fromkeys(COUNTS, 0), "first_invalid": None, **{name: {} for name in TABLES}}


def _add(source: dict[str, Any], tally: Tally, summary: dict[str, Any]) -> None:
    for name, value in summary["counts"].items():
        source[name] += value
    source["invalid"] += tally.invalid.total
    source["outside_sample"] += tally.outside_sample
    source["first_invalid"] = source["first_invalid"] or tally.invalid.first
    tables = {**summary["tables"], "invalid_causes": tally.invalid.counts, "skipped": tally.skipped}
    for name, added in tables.items():
        source[name] = _sum_of([source[name], added])


def _sum_of(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def _merged_tables(parts: Sequence[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    names = sorted({name for part in parts for name in part})
    return {name: _sum_of([part.get(name, {}) for part in parts]) for name in names}


def _totals(sources: dict[str, dict[str, Any]]) -> dict[str, Any]:
    totals: dict[str, Any] = {name: sum(source[name] for source in sources.values()) for name in COUNTS}
    return totals | {name: _sum_of([source[name] for source in sources.values()]) for name in TABLES}


def _merged_samples(summaries: Sequence[dict[str, Any]], config: CorpusConfig) -> dict[str, Any]:
    samples = config.samples_per_rule
    dropped: dict[str, list[dict[str, Any]]] = {}
    for rule in all_rules(config):
        found = [item for each in summaries for item in each["samples"]["dropped"].get(rule, [])]
        if found:
            dropped[rule] = sorted(found, key=lambda item: item["id"])[:samples]
    kept = [item for each in summaries for item in each["samples"]["kept"]]
    return {"kept": _turn_about(kept, samples), "dropped": dropped}


def _turn_about(items: list[dict[str, Any]], samples: int) -> list[dict[str, Any]]:
    """The sources take turns, else the one with the most and shortest documents would fill the list."""
    place: Counter[str] = Counter()
    ranked = []
    for item in sorted(items, key=lambda item: item["id"]):
        ranked.append((place[item["source"]], item["id"], item))
        place[item["source"]] += 1
    return [item for _, _, item in sorted(ranked, key=lambda entry: entry[:2])[:samples]]


def _merged_planted(summaries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    merged: dict[str, dict[str, Any]] = {}
    for each in summaries:
        for kind, part in each["planted"].items():
            known = merged.setdefault(kind, {"planted": 0, "caught": 0, "rules": {}})
            known["planted"] += part["planted"]
            known["caught"] += part["caught"]
            known["rules"] = _sum_of([known["rules"], part["rules"]])
    return dict(sorted(merged.items())) or None
