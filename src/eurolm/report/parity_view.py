"""What the parity search found: fertility against vocabulary size, per language, at equal bytes and at its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from eurolm.report.charts import WIDTH
from eurolm.report.numbers import compact, language_name
from eurolm.report.svg import COLOURS, render

STYLES = {"equal bytes": "--", "parity": "-"}


def parity(run_dir: Path) -> dict[str, Any] | None:
    """Ratio of the dearest to the cheapest language before and after, and the drawing; null where none was searched."""
    try:
        found = json.loads((run_dir / "tokenizer" / "parity.json").read_bytes())
    except (OSError, ValueError):
        return None
    return {
        "before": found["rounds"][0]["ratio"],
        "after": found["ratio"],
        "reached": found["reached"],
        "weights": ", ".join(f"{language_name(code)} {weight:.3g}" for code, weight in found["weights"].items()),
        "chart": _chart(found["points"]),
    }


def _chart(points: list[dict[str, Any]]) -> Markup | None:
    if not points:
        return None
    languages = sorted({code for point in points for code in point["cost"]["tokens_per_word"]})

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for balance, style in STYLES.items():
            own = sorted(
                (point for point in points if point["balance"] == balance), key=lambda point: point["vocab_size"]
            )
            sizes = [point["vocab_size"] for point in own]
            for role, code in zip(("s1", "s2", "s3", "s4", "s5"), languages, strict=False):
                costs = [point["cost"]["tokens_per_word"].get(code) for point in own]
                label = f"{language_name(code)}, {balance}"
                axes.plot(sizes, costs, style, color=COLOURS[role], marker="o", markersize=3, label=label)
        sizes = sorted({point["vocab_size"] for point in points})
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [compact(size) for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("entries of the vocabulary", loc="left")
        axes.set_ylabel("tokens per word")
        figure.legend(loc="outside upper left", ncols=4, handlelength=1.6)

    return render(draw, "parity", "Tokens per word of parallel text against vocabulary size", (WIDTH, 2.6))
