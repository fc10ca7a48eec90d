"""What every pass reads: placeholders in text and in the fields beside it, numbers there as well."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
from tests.corpus.building import all_documents, build, config, report, sample, write_source

# Made up; the checksums of the Estonian code and of the IBAN are right.
MAIL, CODE, IBAN = "janis.berzins@example.lv", "37605030299", "EE382200221020145685"


def test_personal_data_is_in_nothing_that_is_written(tmp_path: Path) -> None:
    beside = {"author": MAIL, "code": int(CODE), "year": 1999}
    records = [
        record | beside | {"text": f"{record['text']} Rakstiet {MAIL}, konts {IBAN}."}
        for record in sample("lv_lvtb", 60)
    ]
    write_source(tmp_path / "a.jsonl", records)
    out = build(tmp_path, config([{"name": "a", "paths": ["a.jsonl"]}], heldout={"share": 0.2}))
    kept = all_documents(out)
    assert len(kept) > 20
    for document in kept:
        assert "Rakstiet [EMAIL], konts [IBAN]." in document.text
        meta = json.loads(document.meta or "")
        assert (meta["author"], meta["code"], meta["year"]) == ("[EMAIL]", "[PERSONAL_CODE]", 1999)
    told = report(out)["totals"]["personal"]
    assert told["email"] == told["iban"] == report(out)["totals"]["kept"] + report(out)["totals"]["heldout"]
    for path in [*out.rglob("*"), *(tmp_path / "measured").rglob("*")]:
        if path.is_file() and path.suffix != ".parquet":
            assert MAIL not in path.read_text(errors="replace")
    for path in [*out.rglob("*.parquet"), *(tmp_path / "measured").rglob("*.parquet")]:
        frame = pl.read_parquet(path)
        for name, kind in frame.schema.items():
            if kind == pl.String:
                for value in (MAIL, CODE, IBAN):
                    assert not frame[name].str.contains(value, literal=True).any(), (path, name)


def test_personal_data_stays_when_no_type_is_named(tmp_path: Path) -> None:
    write_source(tmp_path / "a.jsonl", [r | {"text": f"{r['text']} Rakstiet {MAIL}."} for r in sample("lv_lvtb", 30)])
    section = config([{"name": "a", "paths": ["a.jsonl"]}], personal_data={"types": []}, heldout={"share": 0})
    assert all(MAIL in document.text for document in all_documents(build(tmp_path, section)))
