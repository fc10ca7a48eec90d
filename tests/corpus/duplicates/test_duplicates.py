"""Exact and near duplicates: the kernel against an oracle, LSH against theory, removals against true similarity."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from tests.corpus.building import all_documents, build, config, report, sample, write_source

from eurolm.corpus.duplicates.near import Buckets, Match, near_duplicates
from eurolm.corpus.duplicates.shingles import Shingles, band_keys, jaccard, shingle, signatures
from eurolm.corpus.measure import text_hash
from eurolm.corpus.sources.records import document_id
from eurolm.corpus.text.words import UInts, words_of

TEXTS = [record["text"] for record in sample("et_riigikogu_bill_summaries", 300) + sample("lv_gnome_mate_help", 300)]


def shingled(texts: list[str]) -> Shingles:
    return shingle(words_of(pl.Series(texts, dtype=pl.String)), 5)


def sets(texts: list[str]) -> list[UInts]:
    shingles = shingled(texts)
    return [np.unique(shingles.row(index)) for index in range(len(shingles))]


def true_jaccard(one: str, other: str) -> float:
    """From word 5-grams as tuples, no hashes."""
    grams = []
    for text in (one, other):
        words = re.findall(r"\w+", text.lower())
        grams.append({tuple(words[start : start + 5]) for start in range(max(1, len(words) - 4))} if words else set())
    union = grams[0] | grams[1]
    return len(grams[0] & grams[1]) / len(union) if union else 0.0


def edited(text: str, share: float, seed: int) -> str:
    """`share` of the words replaced."""
    generator = random.Random(seed)
    words = text.split()
    for place in generator.sample(range(len(words)), round(share * len(words))):
        words[place] = f"aizvietots{generator.randrange(10**6)}"
    return " ".join(words)


def numpy_signatures(rows: list[UInts], hashes: int) -> NDArray[np.uint32]:
    """MinHash by multiply-shift, written independently of the kernel in use."""
    generator = np.random.default_rng(7)
    factors = generator.integers(0, 2**63, hashes, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    offsets = generator.integers(0, 2**63, hashes, dtype=np.uint64)
    return np.array([((row[:, None] * factors + offsets) >> np.uint64(32)).min(0) for row in rows], np.uint32)


def test_shingles_are_word_5_grams() -> None:
    texts = [
        "viens divi trīs četri pieci seši",
        "Viens, divi — trīs: četri; PIECI!",
        "viens divi",
        "",
        "…",
        "viens divi trīs",
    ]
    shingles = shingled(texts)
    assert np.diff(shingles.offsets).tolist() == [2, 1, 1, 0, 0, 1]
    assert shingles.row(0)[0] == shingles.row(1)[0]
    assert len({int(value) for index in (0, 2, 5) for value in shingles.row(index)}) == 4


@pytest.mark.parametrize("share", [0.005, 0.02, 0.1])
def test_jaccard_of_hashed_shingles_is_exact(share: float) -> None:
    for seed, text in enumerate(TEXTS[:40]):
        other = edited(text, share, seed)
        one, two = sets([text, other])
        assert jaccard(one, two) == pytest.approx(true_jaccard(text, other), abs=1e-12)


def test_kernel_estimates_jaccard_as_well_as_the_oracle() -> None:
    pairs = [(text, edited(text, 0.03, seed)) for seed, text in enumerate(TEXTS) if len(text) > 600]
    assert len(pairs) > 150
    rows = sets([text for pair in pairs for text in pair])
    truth = np.array([jaccard(rows[2 * place], rows[2 * place + 1]) for place in range(len(pairs))])
    shingles = shingled([text for pair in pairs for text in pair])
    for signature in (signatures(shingles, 112, 1), numpy_signatures(rows, 112)):
        error = (signature[::2] == signature[1::2]).mean(1) - truth
        # The estimate of 112 hashes has a standard error of sqrt(J(1-J)/112) <= 0.047.
        assert abs(error.mean()) < 0.012
        assert np.sqrt((error**2).mean()) < 0.055


def overlapping(similarity: float, seed: int) -> tuple[str, str]:
    """Two texts of real words of which a stretch is the same, long enough for about this similarity of 5-grams."""
    generator = random.Random(seed)
    words = [word for text in generator.sample(TEXTS, 12) for word in text.split()]
    length = generator.randrange(150, 400)
    shared = round(2 * similarity * length / (1 + similarity))
    return " ".join(words[:length]), " ".join(words[:shared] + words[length : 2 * length - shared])


def test_candidates_follow_the_theory_of_bands() -> None:
    """Candidate recall in bins of exact similarity from 0.5 to 1 lies in the 95 % interval of 1 - (1 - J^8)^14."""
    edges = np.arange(0.5, 1.0, 0.05)
    pairs = [overlapping(edge + 0.05 * (place + 0.5) / 260, 1000 * bin + place)
             for bin, edge in enumerate(edges) for place in range(260)]  # fmt: skip
    texts = [text for pair in pairs for text in pair]
    rows = sets(texts)
    truth = np.array([jaccard(rows[2 * place], rows[2 * place + 1]) for place in range(len(pairs))])
    keys = band_keys(signatures(shingled(texts), 112, 1), 8)
    assert keys.shape[1] == 14
    found = (keys[::2] == keys[1::2]).any(1)
    expected = 1 - (1 - truth**8) ** 14
    for edge in edges:
        inside = (truth >= edge) & (truth < edge + 0.05)
        count, mean = int(inside.sum()), expected[inside].mean()
        assert count >= 200, (edge, count)
        spread = np.sqrt((expected[inside] * (1 - expected[inside])).sum()) / count
        assert abs(found[inside].mean() - mean) <= 1.96 * spread + 0.5 / count, (edge, found[inside].mean(), mean)


def test_exact_duplicates_ignore_case_and_white_space() -> None:
    text = TEXTS[0]
    texts = [text, TEXTS[1], text.upper(), text.replace(" ", "\n "), text + "."]
    hashes = [text_hash(item) for item in texts]
    assert hashes[0] == hashes[2] == hashes[3]
    assert len(set(hashes)) == 3


def chain() -> list[str]:
    """A~B and B~C are near duplicates, A and C are not."""
    text = " ".join(f"vārds{number}" for number in range(400))
    words = text.split()
    shifted = [words[start : start + 300] for start in (0, 30, 60)]
    return [" ".join(part) for part in shifted]


def test_a_chain_keeps_what_is_unlike_the_kept_document() -> None:
    rows = sets(chain())
    assert jaccard(rows[0], rows[1]) > 0.75 and jaccard(rows[1], rows[2]) > 0.75 > jaccard(rows[0], rows[2])
    nobody = np.zeros(3, np.bool_)
    # One bucket proposes every pair, so that the outcome rests on the verification alone.
    together = Buckets(np.arange(3), np.zeros(3, np.int64), nobody)
    found = near_duplicates(together, nobody, nobody, rows.__getitem__, 0.75)
    assert found == {1: Match(0, jaccard(rows[0], rows[1]))}


def test_everything_removed_is_truly_similar_and_most_planted_pairs_are_found(tmp_path: Path) -> None:
    bases = [record for record in sample("et_riigikogu_bill_summaries") if len(record["text"]) > 700][:200]
    copies = [
        {"id": f"copy{place}", "text": edited(record["text"], 0.003 * (place % 15), place)}
        for place, record in enumerate(bases)
    ]
    write_source(tmp_path / "base.jsonl", bases)
    write_source(tmp_path / "copy.jsonl", copies)
    sources = [{"name": name, "paths": [f"{name}.jsonl"], "verbatim": True} for name in ("base", "copy")]
    out = build(tmp_path, config(sources, heldout={"share": 0}, samples_per_rule=1000))
    training, text_of = {document.id for document in all_documents(out)}, dict[str, str]()
    for name, records in (("base", bases), ("copy", copies)):
        text_of |= {document_id(name, "key", record["id"]): record["text"] for record in records}
    removed = report(out)["samples"]["dropped"]["near_duplicate"]
    for item in removed:
        said, kept = item["value"].split(" of ")
        assert kept in training
        truth = true_jaccard(text_of[item["id"]], text_of[kept])
        assert truth >= 0.75 and truth == pytest.approx(float(said), abs=1e-4)
    alike = [true_jaccard(base["text"], copy["text"]) for base, copy in zip(bases, copies, strict=True)]
    caught = len(removed) + report(out)["totals"]["dropped"]["exact_duplicate"]
    assert caught >= 0.97 * sum(value >= 0.85 for value in alike)
    assert sum(0.5 < value < 0.75 for value in alike) >= 20


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
def test_keep_rule_is_source_order_then_length_then_id(tmp_path: Path, order: tuple[str, str]) -> None:
    text = sample("lv_eltec", 1)[0]["text"]
    longer = text + " Un tā tas bija."
    write_source(tmp_path / "first.jsonl", [{"id": "short", "text": text}, {"id": "long", "text": longer}])
    write_source(tmp_path / "second.jsonl", [{"id": "copy", "text": text}, {"id": "same", "text": text}])
    sources = [{"name": n, "paths": [f"{n}.jsonl"], "verbatim": True} for n in order]
    out = build(tmp_path, config(sources, heldout={"share": 0}))
    (kept,) = all_documents(out)
    assert kept.source == order[0]
    if order[0] == "first":
        assert kept.text == longer
    else:
        dropped = report(out)["samples"]["dropped"]["exact_duplicate"]
        assert kept.id == min([kept.id] + [item["id"] for item in dropped if item["source"] == "second"])
    assert report(out)["clusters"]["largest"][0]["size"] == 4
