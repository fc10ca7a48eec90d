"""The corpus section: what was read, what each rule took away, and examples of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from markupsafe import Markup

from eurolm.config.corpus import SourceConfig
from eurolm.report.charts import WIDTH
from eurolm.report.numbers import language_name, percent, whole
from eurolm.report.svg import COLOURS, render

RULES_COLOURED = 5
"""Rules with a colour of their own; the rest are `other rules`."""
SOURCES_DRAWN = 24
SHARDS_SEARCHED = 256
"""Shards whose licence column is counted: a report must not read a terabyte."""

Part = tuple[str, str, list[float]]
"""Label, colour role, documents per source."""


def funnel_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per source and one for all: counts as the corpus stage reported them."""
    sources: dict[str, dict[str, Any]] = report.get("sources", {})
    rows = [_row(name, source) for name, source in sources.items()]
    if len(rows) > 1:
        rows.append(_row("all sources", _sum(sources.values())))
    return rows


def _row(name: str, source: dict[str, Any]) -> dict[str, Any]:
    dropped = source.get("dropped", {})
    return {
        "name": name,
        "languages": ", ".join(sorted(source.get("language", {}))),
        "dropped_total": sum(dropped.values()),
        **{
            key: source.get(key)
            for key in ("read", "read_bytes", "invalid", "kept", "kept_bytes", "heldout", "heldout_bytes")
        },
    }


def _sum(sources: Any) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for source in sources:
        for key, value in source.items():
            if isinstance(value, int):
                total[key] = total.get(key, 0) + value
            elif key in ("dropped", "language"):
                held = total.setdefault(key, {})
                for name, amount in value.items():
                    held[name] = held.get(name, 0) + amount
    return total


def totals(report: dict[str, Any]) -> dict[str, Any]:
    """Sums over all sources, drops by rule included."""
    return _sum(report.get("sources", {}).values())


def rules_in_order(report: dict[str, Any]) -> list[tuple[str, int]]:
    """Rules that dropped anything with their counts, in the order in which they are asked."""
    dropped = totals(report).get("dropped", {})
    order = [rule for rule in report.get("rules", []) if rule in dropped]
    return [(rule, dropped[rule]) for rule in order + sorted(set(dropped) - set(order))]


def funnel_chart(report: dict[str, Any]) -> Markup | None:
    """A bar per source, divided into kept, held out and dropped by rule; null for a corpus without sources."""
    sources = [(name, source) for name, source in report.get("sources", {}).items() if source.get("read")]
    sources = sorted(sources, key=lambda item: -item[1]["read"])[:SOURCES_DRAWN]
    if not sources:
        return None
    parts = _parts(sources, rules_in_order(report))

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        names = [name.replace("_", " ") for name, _ in sources]
        left = [0.0] * len(sources)
        for label, role, amounts in parts:
            shares = [100.0 * amount / source["read"] for amount, (_, source) in zip(amounts, sources, strict=True)]
            colour = {"color": COLOURS[role], "edgecolor": COLOURS["paper"], "linewidth": 0.8}
            axes.barh(names, shares, left=left, height=0.68, label=label, **colour)
            left = [before + share for before, share in zip(left, shares, strict=True)]
        for place, (_, source) in enumerate(sources):
            text = f"{whole(source['read'])} → {whole(source['kept'])}"
            axes.text(101.5, place, text, va="center", color=COLOURS["muted"])
        axes.set_xlim(0, 120)
        axes.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
        axes.set_xlabel("share of documents read (right: documents read → kept for training)", loc="left")
        axes.set_ylim(len(sources) - 0.5, -0.5)
        axes.tick_params("y", labelcolor=COLOURS["ink"])
        axes.grid(False)
        figure.legend(loc="outside upper left", ncols=5, handlelength=1.0, columnspacing=1.4)

    kept = totals(report)
    label = f"Of {whole(kept.get('read'))} documents read, {whole(kept.get('kept'))} were kept for training"
    return render(draw, "funnel", label, (WIDTH, 0.9 + 0.32 * len(sources) + 0.2 * (len(parts) > 5)))


def _parts(sources: Sequence[tuple[str, dict[str, Any]]], rules: Sequence[tuple[str, int]]) -> list[Part]:
    coloured = [rule for rule, _ in sorted(rules, key=lambda item: -item[1])[:RULES_COLOURED]]
    coloured = [rule for rule, _ in rules if rule in coloured]
    others = [rule for rule, _ in rules if rule not in coloured]
    parts: list[Part] = [
        ("kept", "s1", [source.get("kept", 0) for _, source in sources]),
        ("held out", "s6", [source.get("heldout", 0) for _, source in sources]),
    ]
    for rule, role in zip(coloured, ("s2", "s3", "s4", "s5", "s7"), strict=False):
        parts.append((rule.replace("_", " "), role, [source.get("dropped", {}).get(rule, 0) for _, source in sources]))
    if others:
        rest = [sum(source.get("dropped", {}).get(rule, 0) for rule in others) for _, source in sources]
        parts.append(("other rules", "s8", rest))
    return parts


def drops_chart(report: dict[str, Any]) -> Markup | None:
    """Documents dropped by each rule, in the order of the rules; null when nothing was dropped."""
    rules = rules_in_order(report)
    read = totals(report).get("read", 0)
    if not rules:
        return None

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        counts = [count for _, count in rules]
        axes.barh([rule.replace("_", " ") for rule, _ in rules], counts, height=0.62, color=COLOURS["s2"])
        for place, count in enumerate(counts):
            axes.text(count + max(counts) * 0.012, place, f"{whole(count)}  ({percent(count, read)})", va="center")
        axes.set_ylim(len(rules) - 0.5, -0.5)
        axes.set_xlim(0, max(counts) * 1.2)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.tick_params("y", labelcolor=COLOURS["ink"])
        axes.grid(False)

    first, most = max(rules, key=lambda item: item[1])
    label = f"Documents dropped by rule; most by {first.replace('_', ' ')}: {whole(most)}"
    return render(draw, "drops", label, (WIDTH, 0.3 + 0.27 * len(rules)))


def planted_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Noise that was planted on purpose: kind, how much of it, how much was caught and by which rules."""
    return [
        {"kind": kind.replace("_", " "), **part, "by": ", ".join(f"{rule} {n}" for rule, n in part["rules"].items())}
        for kind, part in (report.get("planted") or {}).items()
    ]


def languages_kept(report: dict[str, Any]) -> str:
    """`Latvian 5,120, Estonian 4,870`."""
    found = totals(report).get("language", {})
    return ", ".join(f"{language_name(code)} {whole(count)}" for code, count in found.items())


def licences(corpus: Path, sources: Sequence[SourceConfig]) -> tuple[list[dict[str, Any]], str]:
    """Documents per source and licence, counted in the shards themselves, and a note on what was not counted."""
    configured = {source.name: source for source in sources}
    shards = sorted((corpus / "documents").glob("*/*.parquet"))
    counts: dict[tuple[str, str], int] = {}
    for path in shards[:SHARDS_SEARCHED]:
        try:
            column = pq.read_table(path, columns=["license"])["license"]
        except (OSError, KeyError, pa.ArrowException):
            continue
        for pair in pc.value_counts(column).to_pylist():
            key = (path.parent.name, pair["values"] or "not stated")
            counts[key] = counts.get(key, 0) + pair["counts"]
    rows = [
        {
            "source": source,
            "license": license_,
            "documents": count,
            "register": configured[source].register_ if source in configured else None,
            "paths": [Path(path).name for path in configured[source].paths] if source in configured else [],
        }
        for (source, license_), count in sorted(counts.items())
    ]
    more = len(shards) > SHARDS_SEARCHED
    return rows, f"Counted in the first {SHARDS_SEARCHED} of {len(shards):,} shards." if more else ""
