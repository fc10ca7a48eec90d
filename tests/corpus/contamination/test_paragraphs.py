"""Which lines runs of words touch, texts without some lines, paragraphs that stand in many documents."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.corpus.contamination.real import sample

from eurolm.corpus.boilerplate import frequent, line_hashes, paragraph_hashes
from eurolm.corpus.paragraphs import kept_lines, touched
from eurolm.corpus.text.words import words_of


def test_runs_touch_every_line_they_have_a_word_in() -> None:
    texts = ["a b\n\nc d e\n!\nf", "", "g h"]
    text, first, last = np.array([0, 0, 0, 0, 2]), np.array([0, 1, 5, 2, 0]), np.array([2, 4, 6, 5, 2])
    run, line = touched(texts, text, first, last)
    assert list(zip(run.tolist(), line.tolist(), strict=True)) == [
        (0, 0), (1, 0), (1, 2), (2, 4), (3, 2), (4, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "removed", "left"),
    [
        ("a\nb\nc", {1}, "a\nc"),
        ("a\n\nb\n\nc", {2}, "a\n\nc"),
        ("a\n\nb\n\nc", {0}, "b\n\nc"),
        ("a\n\nb\n\n", {2}, "a"),
        ("a\nb", {0, 1}, ""),
        ("a\n\n\nb", {}, "a\n\n\nb"),
        ("a\n\nb\nc\n\nd", {2, 3}, "a\n\nd"),
    ],
)
def test_no_gap_stays_where_lines_were(text: str, removed: set[int], left: str) -> None:
    lines = text.split("\n")
    assert "\n".join(lines[number] for number in kept_lines(lines, removed)) == left


def test_paragraphs_are_hashed_by_their_words() -> None:
    texts = ["Pieņemt visas sīkdatnes!\nX\nPIEŅEMT, visas sīkdatnes", "", "cits\n\npieņemt visas sīkdatnes"]
    words = words_of(pl.Series(texts))
    hashes, offsets = paragraph_hashes(texts, words, 3)
    assert offsets.tolist() == [0, 1, 1, 2] and hashes[0] == hashes[1]
    text, line, every = line_hashes(texts, words, 3)
    assert (text.tolist(), line.tolist(), len(set(every.tolist()))) == ([0, 0, 2], [0, 2, 2], 1)


def test_real_paragraphs_hash_alike_only_when_their_words_are() -> None:
    texts = [record["text"] for record in sample("lv_gnome_mate_help")]
    words = words_of(pl.Series(texts))
    text, line, hashes = line_hashes(texts, words, 1)
    by_hash: dict[int, set[str]] = {}
    by_words: dict[str, set[int]] = {}
    for at, number, value in zip(text.tolist(), line.tolist(), hashes.tolist(), strict=True):
        key = " ".join(re.findall(r"\w+", texts[at].split("\n")[number].lower()))
        by_hash.setdefault(value, set()).add(key)
        by_words.setdefault(key, set()).add(value)
    assert len(by_hash) == len(by_words) > 1000
    assert all(len(keys) == 1 for keys in by_hash.values())


@given(
    st.lists(st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63, 2**64 - 1]), unique=True)),
    st.integers(2, 4),
    st.sampled_from([1, 2, 8, 64]),
)
def test_frequent_is_what_counting_says(documents: list[list[int]], most: int, partitions: int) -> None:
    counts = Counter(value for document in documents for value in document)
    found = frequent(lambda: (np.array(document, np.uint64) for document in documents), most, partitions)
    assert found.tolist() == sorted(value for value, count in counts.items() if count > most)
