"""Held-out text: whole groups, nothing like it in training, the same documents when the corpus grows."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.corpus.building import all_documents, all_heldout, build, config, report, sample, write_source
from tests.corpus.duplicates.test_duplicates import edited

from eurolm.config.corpus import HeldoutConfig
from eurolm.corpus.documents import Document
from eurolm.corpus.duplicates.shingles import jaccard, shingle
from eurolm.corpus.heldout import heldout_mask, is_heldout
from eurolm.corpus.text.words import words_of

SHARE = 0.3
BILLS = [record | {"group": None} for record in sample("et_riigikogu_bill_summaries")]


def test_share_of_groups_and_growth_of_the_share() -> None:
    groups = [f"group{number}" for number in range(20_000)]
    small, large = (HeldoutConfig(share=share) for share in (0.02, 0.1))
    held = {group for group in groups if is_heldout(group, small)}
    assert 320 < len(held) < 480
    assert held < {group for group in groups if is_heldout(group, large)}
    other = {group for group in groups if is_heldout(group, HeldoutConfig(share=0.02, salt="other"))}
    assert len(held & other) < 25


def test_documents_without_group_stand_for_themselves() -> None:
    ids = [f"id{number}" for number in range(500)]
    frame = pl.DataFrame({"id": ids, "group": [None, "a"] * 250})
    settings = HeldoutConfig(share=0.3)
    expected = [is_heldout(group or name, settings) for name, group in zip(ids, [None, "a"] * 250, strict=True)]
    assert heldout_mask(frame, settings).to_list() == expected


def test_groups_are_held_out_whole(tmp_path: Path) -> None:
    write_source(tmp_path / "a.jsonl", sample("et_riigikogu_stenograms") + sample("lv_eltec"))
    out = build(tmp_path, config([{"name": "a", "paths": ["a.jsonl"]}], heldout={"share": SHARE}))
    held = {document.group for document in all_heldout(out)}
    kept = {document.group for document in all_documents(out)}
    assert len(held) >= 10 and len(kept) >= 10
    assert not held & kept


def closest(documents: list[Document], others: list[Document]) -> float:
    """The greatest Jaccard similarity of any document to any other, exactly, all pairs."""
    shingles = shingle(words_of(pl.Series([d.text for d in documents + others], dtype=pl.String)), 5)
    rows = [np.unique(shingles.row(index)) for index in range(len(shingles))]
    return max(jaccard(one, two) for one in rows[: len(documents)] for two in rows[len(documents) :])


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A corpus, and the same with a source of edited copies put *before* it."""
    base = tmp_path_factory.mktemp("grown")
    write_source(base / "bills.jsonl", BILLS)
    copies = [
        {"id": f"copy{place}", "text": edited(record["text"], 0.002 * (place % 20), place) + " Lisa."}
        for place, record in enumerate(BILLS)
        if len(record["text"]) > 500
    ]
    write_source(base / "copies.jsonl", copies)
    sources = [{"name": name, "paths": [f"{name}.jsonl"]} for name in ("copies", "bills")]
    changes = {"heldout": {"share": SHARE}, "samples_per_rule": 0}
    return build(base, config(sources[1:], **changes), "before"), build(base, config(sources, **changes), "after")


def test_held_out_documents_stay_when_a_source_is_added(grown: tuple[Path, Path]) -> None:
    before = {document.id for document in all_heldout(grown[0])}
    assert len(before) > 100
    bills = {document.id for document in all_heldout(grown[1]) if document.source == "bills"}
    # What leaves is a near-duplicate of another held-out document of the source that comes first.
    gone = before - bills
    assert not gone & {document.id for document in all_documents(grown[1])}
    left = [document for document in all_heldout(grown[0]) if document.id in gone]
    copies = [document for document in all_heldout(grown[1]) if document.source == "copies"]
    assert all(closest([document], copies) >= 0.75 for document in left)


def test_nothing_like_a_held_out_document_stays_in_training(grown: tuple[Path, Path]) -> None:
    for out in grown:
        assert closest(all_heldout(out), all_documents(out)) < 0.75
    assert report(grown[1])["totals"]["dropped"]["heldout_duplicate"] > 20
    assert "heldout_duplicate" in report(grown[1])["rules"]


def windows(text: str, words: int) -> set[tuple[str, ...]]:
    """All runs of this many consecutive words, lower-cased."""
    found = re.findall(r"\w+", text.lower())
    return {tuple(found[start : start + words]) for start in range(len(found) - words + 1)}


def test_no_fifty_words_of_held_out_text_stand_in_training_text(tmp_path: Path) -> None:
    write_source(tmp_path / "bills.jsonl", BILLS)
    sources = [{"name": "bills", "paths": ["bills.jsonl"], "verbatim": True}]
    changes = {"heldout": {"share": 0.2}, "samples_per_rule": 0}
    held = [document.text.split() for document in all_heldout(build(tmp_path, config(sources, **changes), "first"))]
    held = [words for words in held if len(words) > 130]
    assert len(held) >= 20
    own = " ".join(sample("et_riigikogu_stenograms", 1)[0]["text"].split()[:400])
    quotes = []
    for place, words in enumerate(held):
        # Across two lines, from 20 to 110 words of it.
        quoted = " ".join(words[:20]) + "\n" + " ".join(words[20 : 20 + 10 * (place % 10)])
        quotes.append({"id": f"{place}", "text": f"{own} {place}\n{quoted}\n{own[:200]}"})
    # Copies of each other but for the quotations, so that only the window rule can be what removes those.
    write_source(tmp_path / "quotes.jsonl", quotes)
    sources.append({"name": "quotes", "paths": ["quotes.jsonl"], "verbatim": True})
    section = config(sources, **changes, duplicates={"min_jaccard": 1.0})
    out = build(tmp_path, section, "second")
    unseen = {window for document in all_heldout(out) for window in windows(document.text, 50)}
    training = all_documents(out)
    assert len(unseen) > 2000 and sum(document.source == "quotes" for document in training) > 10
    assert not any(windows(document.text, 50) & unseen for document in training)
    assert any(windows(quote["text"], 50) & unseen for quote in quotes)
    assert report(out)["totals"]["removed"]["heldout_window"] >= 10
