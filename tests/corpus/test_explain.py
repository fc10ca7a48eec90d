"""Why a document was kept or dropped, as the stage decided it."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from tests.corpus.building import all_documents, all_heldout, build, config, report, sample, write_source

from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.explain import Explanation, explain, shown
from eurolm.errors import InputError

BULLETS = "\n".join(f"- likuma {number} . pants nosaka ka tas ir spēkā no {number} gada." for number in range(30))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CorpusConfig]:
    """Bills and help pages, a list of bullets, a page in English and a copy."""
    base = tmp_path_factory.mktemp("explained")
    pages = [
        record | {"url": f"https://example.lv/{place}"} for place, record in enumerate(sample("lv_gnome_mate_help", 60))
    ]
    strange = [
        {"id": "bullets", "text": BULLETS, "url": "https://example.lv/bullets"},
        {"id": "english", "text": "This page was never translated and nobody knows why it is here at all."},
        {"id": "copy", "text": pages[0]["text"]},
    ]
    write_source(base / "a.jsonl", [*pages, *strange])
    section = config([{"name": "a", "paths": ["a.jsonl"]}], heldout={"share": 0.2}, samples_per_rule=100)
    build(base, section)
    return base, section


def ask(built: tuple[Path, CorpusConfig], document: str) -> Explanation:
    base, section = built
    (found,) = explain(section, base, base / "measured" / "out", base / "out", document)
    return found


def test_a_dropped_document_names_the_first_rule_it_fails(built: tuple[Path, CorpusConfig]) -> None:
    found = ask(built, "https://example.lv/bullets")
    assert found.fate.startswith("dropped by max_bullet_line_share: 1.0")
    failed = [answer for answer in found.asked if not answer.passed]
    assert failed[0].rule == "max_bullet_line_share" and failed[0].figure == 1.0 and failed[0].threshold == 0.9
    assert "✗ max_bullet_line_share" in shown(found)
    dropped = report(built[0] / "out")["samples"]["dropped"]
    assert [item["value"] for item in dropped["max_bullet_line_share"]] == ["1.0"]


def test_every_document_has_the_fate_that_the_tables_say(built: tuple[Path, CorpusConfig]) -> None:
    out = built[0] / "out"
    for document in all_documents(out)[:5]:
        assert ask(built, document.id).fate == "kept for training"
    for document in all_heldout(out)[:3]:
        assert ask(built, document.id).fate == "held out"
    for path in (out / "dropped").rglob("*.parquet"):
        for name, rule, value, _ in pl.read_parquet(path).iter_rows():
            found = ask(built, name)
            assert found.fate == f"dropped by {rule}" + (f": {value}" if value else "")
            if found.facts["language"] == "lv" and rule not in (
                "exact_duplicate",
                "near_duplicate",
                "heldout_duplicate",
            ):
                assert next(answer.rule for answer in found.asked if not answer.passed) == rule


def test_another_threshold_measures_nothing_again(built: tuple[Path, CorpusConfig]) -> None:
    base, section = built
    before = {path: path.stat().st_mtime_ns for path in (base / "measured" / "out").rglob("*.parquet")}
    rules = {code: own.model_copy(update={"max_bullet_line_share": None}) for code, own in section.languages.items()}
    shutil.copytree(base / "measured" / "out", base / "measured" / "looser", copy_function=shutil.copy2)
    out = build(base, section.model_copy(update={"languages": rules}), "looser")
    after = {path: path.stat().st_mtime_ns for path in (base / "measured" / "looser").rglob("*.parquet")}
    assert sorted(before.values()) == sorted(after.values())
    assert "max_bullet_line_share" not in report(out)["totals"]["dropped"]


def test_what_is_not_there_is_an_error(built: tuple[Path, CorpusConfig]) -> None:
    with pytest.raises(InputError, match="neither the id nor the URL"):
        ask(built, "https://example.lv/nowhere")
