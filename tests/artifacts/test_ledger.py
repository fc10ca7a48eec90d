"""The ledger keeps what was written and survives a torn line."""

from __future__ import annotations

from pathlib import Path

from eurolm.artifacts.ledger import LEDGER, events, record


def test_events_come_back_in_order_and_filtered(tmp_path: Path) -> None:
    record(tmp_path, "stage", stage="corpus", seconds=1.5)
    record(tmp_path, "stage", stage="tokens", seconds=2.5)
    record(tmp_path, "config", name="õä")
    with (tmp_path / LEDGER).open("a") as stream:
        stream.write('{"event": "stage", "st')
    assert [event["stage"] for event in events(tmp_path, "stage")] == ["corpus", "tokens"]
    assert events(tmp_path, stage="tokens")[0]["seconds"] == 2.5
    assert events(tmp_path, "config")[0]["name"] == "õä"
    assert events(tmp_path / "none") == []
