"""Languages in a built corpus: Latgalian must not pass for Latvian, nor a source for what it is not."""

from __future__ import annotations

from pathlib import Path

from tests.corpus.building import all_documents, build, config, report, sample, write_source
from tests.corpus.text.real import needs_shared_text, texts


@needs_shared_text
def test_latgalian_is_told_from_latvian_and_reported(tmp_path: Path) -> None:
    records = [{"id": str(place), "text": text} for place, text in enumerate(texts("ltg", "sib200")[:400])]
    write_source(tmp_path / "ltg.jsonl", records)
    write_source(tmp_path / "lv.jsonl", sample("lv_likumi", 20))
    out = build(tmp_path, config([{"name": name, "paths": [f"{name}.jsonl"]} for name in ("ltg", "lv")]))
    entry = report(out)["sources"]["ltg"]
    assert entry["dropped"]["language"] >= 0.99 * len(records)
    assert all(
        item["value"].startswith(("ltg 0.", "ltg 1.")) for item in report(out)["samples"]["dropped"]["language"][:10]
    )
    assert entry["kept"] + entry["heldout"] <= 0.01 * len(records)


def test_a_source_that_claims_another_language_is_dropped(tmp_path: Path) -> None:
    write_source(tmp_path / "a.jsonl", sample("lv_likumi", 30) + sample("et_kde_docs", 30))
    out = build(tmp_path, config([{"name": "a", "language": "et", "paths": ["a.jsonl"]}]))
    assert {document.language for document in all_documents(out)} == {"et"}
    assert report(out)["sources"]["a"]["dropped"]["language"] == 30
