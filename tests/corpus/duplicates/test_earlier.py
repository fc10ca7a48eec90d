"""A finished corpus wins over a new dump: nothing of it comes twice, and nothing of it is decided again."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.corpus.building import (
    all_documents,
    all_heldout,
    config,
    hashes,
    report,
    sample,
    sealed,
    write_source,
)
from tests.corpus.duplicates.test_duplicates import edited, true_jaccard

from eurolm.errors import ConfigError, InputError

BILLS = sample("et_riigikogu_bill_summaries")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An earlier corpus of 300 bills, and a new dump of all bills with edited, longer and held-out copies."""
    base = tmp_path_factory.mktemp("earlier")
    write_source(base / "old.jsonl", [record | {"group": None} for record in BILLS[:300]])
    near = [
        {"id": f"near{place}", "text": edited(record["text"], 0.01, place) + " Lisatud lause lõpus."}
        for place, record in enumerate(BILLS[:300])
        if len(record["text"]) > 700
    ]
    write_source(base / "new.jsonl", [*near, *[record | {"id": f"again{record['id']}"} for record in BILLS]])
    sealed(base, config([{"name": "bills", "paths": ["old.jsonl"]}], heldout={"share": 0.1}), "first")
    return base


def new_section(base: Path, **duplicates: object):
    changes = {"heldout": {"share": 0.1}, "duplicates": {"earlier": [str(base / "first")], **duplicates}}
    return config([{"name": "bills", "paths": ["new.jsonl"]}], **changes)


def test_an_earlier_corpus_wins(base: Path) -> None:
    before = hashes(base / "first")
    out = sealed(base, new_section(base), "second")
    assert hashes(base / "first") == before
    old = [*all_documents(base / "first"), *all_heldout(base / "first")]
    new = [*all_documents(out), *all_heldout(out)]
    assert len(old) > 200 and len(new) > 50
    assert not {document.text for document in old} & {document.text for document in new}
    most = max(true_jaccard(one.text, two.text) for one in new[::7] for two in old)
    assert most < 0.9  # LSH misses few pairs above 0.9 (1 - (1 - 0.9^8)^14 = 0.9997)
    told = report(out)["clusters"]["earlier"]
    assert told["documents"] == len(old)
    assert told["dropped"] > 200
    # Every edited copy is longer than the bill it was made of, so one shot would have kept those found.
    assert 0 < told["one_shot_would_keep"] <= told["dropped"]


def test_held_out_text_of_the_earlier_corpus_stays_out_of_training(base: Path) -> None:
    out = sealed(base, new_section(base), "second")
    held = all_heldout(base / "first")
    assert len(held) > 10
    assert report(out)["totals"]["dropped"]["heldout_duplicate"] >= len(held)
    training = {document.text for document in all_documents(out)}
    assert not training & {document.text for document in held}


def test_what_cannot_be_compared_is_refused(base: Path) -> None:
    with pytest.raises(ConfigError, match=r"duplicates\.seed = 2 differs from 1"):
        sealed(base, new_section(base, seed=2), "refused")
    with pytest.raises(InputError, match="not a finished corpus"):
        sealed(base, new_section(base, earlier=[str(base)]), "refused")
