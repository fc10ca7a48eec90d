"""Counts and samples: of one unit while it is written, then of the whole corpus for `report.json`.

Samples are those with the lowest ids, which are hashes: as good as drawn at random, and the same for every run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.decide import LARGEST_CLUSTERS, RULE_NAMES
from eurolm.corpus.records import Tally
from eurolm.corpus.units import Unit

COUNTS = (
    "read", "read_bytes", "invalid", "outside_sample", "kept", "kept_bytes", "heldout", "heldout_bytes",
)  # fmt: skip


def summarise(told: pl.DataFrame, samples: int) -> dict[str, Any]:
    """Of documents beside their verdicts; needs the columns that `write` joins, without the text."""
    planted = told.with_columns(planted=_planted(told))
    passed = planted.filter(pl.col("rule").is_null())
    gone = planted.filter(pl.col("rule").is_not_null())
    kept, heldout = passed.filter(~pl.col("heldout")), passed.filter("heldout")
    return {
        "counts": {
            "read": len(told),
            "read_bytes": int(told["bytes"].sum()),
            "kept": len(kept),
            "kept_bytes": int(kept["bytes"].sum()),
            "heldout": len(heldout),
            "heldout_bytes": int(heldout["bytes"].sum()),
        },
        "dropped": _counted(gone["rule"]),
        "language": _counted(kept["language"]),
        "heldout_language": _counted(heldout["language"]),
        "samples": {
            "kept": _lowest(kept, samples, ("id", "source", "language", "excerpt")),
            "dropped": {
                str(rule): _lowest(part, samples, ("id", "source", "excerpt", "value", "planted"))
                for (rule,), part in gone.group_by("rule", maintain_order=True)
            },
        },
        "largest": _largest(passed),
        "planted": _planted_counts(planted),
    }


def build_report(
    config: CorpusConfig, units: Sequence[Unit], tallies: Sequence[Tally], summaries: Sequence[dict[str, Any]],
    clusters: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The content of `report.json` from all units, in their order."""
    sources = {source.name: _empty_source() for source in config.sources}
    for unit, tally, summary in zip(units, tallies, summaries, strict=True):
        _add(sources[config.sources[unit.source].name], tally, summary)
    largest = [item for each in summaries for item in each["largest"]]
    largest.sort(key=lambda item: (-item["size"], item["id"]))
    return {
        "sources": sources,
        "rules": list(RULE_NAMES),
        "samples": _merged_samples(summaries, config.samples_per_rule),
        "clusters": {**clusters, "largest": largest[:LARGEST_CLUSTERS]},
        "totals": _totals(sources),
        "planted": _merged_planted(summaries),
    }


def _planted(told: pl.DataFrame) -> pl.Series:
    """Kind of noise that whoever made the record planted there, null for real documents."""
    return told.select(pl.col("meta").str.json_path_match("$.planted"))["meta"]


def _counted(values: pl.Series) -> dict[str, int]:
    return dict(sorted(Counter(values.to_list()).items()))


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
    return {
        **dict.fromkeys(COUNTS, 0),
        "invalid_causes": {},
        "first_invalid": None,
        "dropped": {},
        "language": {},
        "heldout_language": {},
    }


def _add(source: dict[str, Any], tally: Tally, summary: dict[str, Any]) -> None:
    for name, value in summary["counts"].items():
        source[name] += value
    source["invalid"] += tally.invalid.total
    source["outside_sample"] += tally.outside_sample
    source["first_invalid"] = source["first_invalid"] or tally.invalid.first
    for name, added in (
        ("invalid_causes", tally.invalid.counts),
        ("dropped", summary["dropped"]),
        ("language", summary["language"]),
        ("heldout_language", summary["heldout_language"]),
    ):
        source[name] = _sum_of([source[name], added])


def _sum_of(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def _totals(sources: dict[str, dict[str, Any]]) -> dict[str, Any]:
    totals: dict[str, Any] = {name: sum(source[name] for source in sources.values()) for name in COUNTS}
    for name in ("dropped", "language", "heldout_language"):
        totals[name] = _sum_of([source[name] for source in sources.values()])
    return totals


def _merged_samples(summaries: Sequence[dict[str, Any]], samples: int) -> dict[str, Any]:
    dropped: dict[str, list[dict[str, Any]]] = {}
    for rule in RULE_NAMES:
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
