"""Language identification on real documents of six languages, and Latgalian, which must not pass for Latvian."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.corpus.building import SHARED_TEXT, all_documents, build, config, report, sample, write_source

from eurolm.corpus.language import WINDOW_CHARACTERS, WINDOWS, detect, windows
from eurolm.corpus.sample.pick import read_records

FILES = {
    "lv": ["likumi", "eltec", "gnome_mate_help", "udhr"],
    "et": ["riigi_teataja", "riigikogu_bill_summaries", "kde_docs", "udhr"],
    "lt": ["eltec", "laws", "ud_alksnis", "udhr"],
    "fi": ["legalize", "ud_tdt", "libreoffice_help", "udhr"],
    "en": ["ud_ewt", "udhr"],
    "ru": ["libreoffice_help", "ud_taiga", "udhr"],
}
needs_shared_text = pytest.mark.skipif(not SHARED_TEXT.is_dir(), reason="needs the collected text beside the checkout")


def texts(language: str, source: str, count: int) -> list[str]:
    """Documents of several sentences."""
    records = read_records(SHARED_TEXT / language / f"{source}.jsonl.zst")
    return [record["text"] for record in records if len(record["text"]) >= 200][:count]


@needs_shared_text
@pytest.mark.parametrize("language", FILES)
def test_documents_of_six_languages(language: str) -> None:
    documents = [text for source in FILES[language] for text in texts(language, source, 150)]
    found, score = detect(documents)
    table = Counter(found.to_list())
    right = table[language] / len(documents)
    assert right >= (0.995 if language in ("lv", "et") else 0.985), table
    assert score.filter(found == language).quantile(0.02) > 0.5


@needs_shared_text
def test_latgalian_is_told_from_latvian_and_reported(tmp_path: Path) -> None:
    records = read_records(SHARED_TEXT / "ltg" / "sib200.jsonl.zst")[:400]
    write_source(tmp_path / "ltg.jsonl", records)
    write_source(tmp_path / "lv.jsonl", sample("lv_likumi", 20))
    out = build(tmp_path, config([{"name": name, "paths": [f"{name}.jsonl"]} for name in ("ltg", "lv")]))
    entry = report(out)["sources"]["ltg"]
    assert entry["dropped"]["language"] >= 0.99 * len(records)
    assert all(item["value"].startswith("ltg 0.") or item["value"].startswith("ltg 1.")
               for item in report(out)["samples"]["dropped"]["language"][:10])  # fmt: skip
    assert entry["kept"] + entry["heldout"] <= 0.01 * len(records)


@needs_shared_text
def test_a_source_that_claims_another_language_is_dropped(tmp_path: Path) -> None:
    write_source(tmp_path / "a.jsonl", sample("lv_likumi", 30) + sample("et_kde_docs", 30))
    out = build(tmp_path, config([{"name": "a", "language": "et", "paths": ["a.jsonl"]}]))
    assert {document.language for document in all_documents(out)} == {"et"}
    assert report(out)["sources"]["a"]["dropped"]["language"] == 30


def test_windows_are_spread_over_the_document() -> None:
    text = "".join(chr(0x4E00 + place) for place in range(20_000))
    parts = windows(text).split(" ")
    assert [len(part) for part in parts] == [WINDOW_CHARACTERS] * WINDOWS
    assert parts[0][0] == text[0] and parts[-1][-1] == text[-1]
    assert windows(text[:900]) == text[:900]


def test_text_without_letters_has_no_language() -> None:
    language, score = detect(["1234 5678 --- 90", "", "Saeima pieņēma likumu par valsts valodu."])
    assert language.to_list() == [None, None, "lv"]
    assert score.to_list()[:2] == [0.0, 0.0]
