"""The drawing of the parity search, from what the search writes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from eurolm.artifacts.atomic import write_json
from eurolm.report.parity_view import parity
from eurolm.tokenizer.parity import Cost, Parity, Point
from eurolm.tokenizer.tuning import Tuning


def cost(lv: float, et: float) -> Cost:
    return Cost({"lv": 1.3, "et": 0.8}, {"lv": 1000, "et": 1000}, {"lv": lv, "et": et}, lv / et)


def test_both_balances_and_languages_are_drawn(tmp_path: Path) -> None:
    points = [
        Point(balance, size, 2.0, cost(2.4 - size / 65536, 2.2 - size / 65536))
        for balance in ("equal bytes", "parity")
        for size in (4096, 8192, 16384)
    ]
    tuning = Tuning("help", "0" * 64, 5763, 0)
    found = Parity(tuning, True, 1.004, {"lv": 1.3, "et": 0.8}, [cost(2.4, 2.2), cost(2.3, 2.3)], points)
    write_json(tmp_path / "tokenizer" / "parity.json", asdict(found))
    shown = parity(tmp_path)
    assert shown is not None
    assert (shown["before"], shown["after"]) == (2.4 / 2.2, 1.004)
    assert shown["weights"] == "Latvian 1.3, Estonian 0.8"
    for label in ("Latvian, equal bytes", "Estonian, parity", "16.4k"):
        assert label in shown["chart"]


def test_a_run_without_search_has_none(tmp_path: Path) -> None:
    assert parity(tmp_path) is None
