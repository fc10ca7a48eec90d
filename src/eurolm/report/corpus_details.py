"""What else the corpus stage counted: languages and lengths, what was cut out of kept text, evaluation items found."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from eurolm.report.charts import WIDTH
from eurolm.report.numbers import compact, language_name, whole
from eurolm.report.svg import COLOURS, render

LANGUAGES_SHOWN = 12
CUT_OUT = {
    "evaluation_item": "paragraphs that repeat an evaluation item",
    "heldout_window": "paragraphs that share a long passage with held-out text",
    "boilerplate": "paragraphs that stand in many documents",
    "foreign": "paragraphs in another language",
}
PERSONAL = {
    "email": "e-mail addresses",
    "ip": "IP addresses",
    "phone": "telephone numbers",
    "iban": "bank accounts",
    "personal_code": "personal codes",
}


def language_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """What became of the documents of each detected language, the most frequent first."""
    rows = []
    for code, fates in (report.get("funnel") or {}).items():
        kept, heldout = fates.get("kept", 0), fates.get("held out", 0)
        dropped = {name: count for name, count in fates.items() if name not in ("kept", "held out")}
        most = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))[:3]
        rows.append(
            {
                "name": "none detected" if code == "none" else language_name(code),
                "read": kept + heldout + sum(dropped.values()),
                "kept": kept,
                "heldout": heldout,
                "most": ", ".join(f"{name.replace('_', ' ')} {whole(count)}" for name, count in most),
            }
        )
    return sorted(rows, key=lambda row: (-row["read"], row["name"]))[:LANGUAGES_SHOWN]


def lengths_chart(report: dict[str, Any]) -> Markup | None:
    """Kept documents by length, a line per language; null for a corpus that counted none."""
    lengths: dict[str, dict[str, int]] = report.get("lengths") or {}
    powers = sorted({int(power) for counts in lengths.values() for power in counts})
    if not powers:
        return None
    powers = [2**place for place in range(powers[0].bit_length() - 1, powers[-1].bit_length())]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for role, (code, counts) in zip(("s1", "s2", "s3", "s4", "s5"), sorted(lengths.items()), strict=False):
            amounts = [counts.get(str(power), 0) for power in powers]
            axes.plot(powers, amounts, color=COLOURS[role], marker="o", markersize=3, label=language_name(code))
        axes.set_xscale("log", base=2)
        axes.set_xticks(powers, [compact(power) for power in powers])
        axes.minorticks_off()
        axes.set_xlabel("characters per document, from this length to twice it", loc="left")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(compact)
        figure.legend(loc="outside upper left", ncols=5, handlelength=1.0)

    return render(draw, "lengths", "Documents kept for training by length", (WIDTH, 2.4))


def cut_out(report: dict[str, Any]) -> list[tuple[str, int]]:
    """What was taken out of documents that were kept, and how often."""
    totals = report.get("totals", {})
    found = [(name, totals.get("removed", {}).get(key)) for key, name in CUT_OUT.items()]
    found += [
        (f"{name}, replaced by a placeholder", totals.get("personal", {}).get(key)) for key, name in PERSONAL.items()
    ]
    return [(name, count) for name, count in found if count]


def contamination_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per task or file whose items were looked for."""
    return list((report.get("decontamination") or {}).get("tasks", []))
