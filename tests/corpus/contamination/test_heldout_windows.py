"""The guarantee: every run of 50 words that training text shares with a held-out text is found, and nothing else.

The oracle is the definition: the set of all windows of all held-out texts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.corpus.contamination.real import sample, words_list

from eurolm.corpus.contamination import heldout_windows
from eurolm.corpus.contamination.heldout_windows import HeldoutIndex
from eurolm.corpus.text.words import Words, words_from, words_of

Texts = Sequence[Sequence[str]]


def found(path: Path, heldout: Texts, training: Texts, shared: int, batches: int = 1) -> list[set[int]]:
    """Words of each training text that the index flags."""
    step = -(-len(heldout) // batches)
    parts = [words_from(heldout[at : at + step]) for at in range(0, len(heldout), max(step, 1))]
    HeldoutIndex.build(parts, shared, path)
    windows = HeldoutIndex.open(path).windows(words_from(training))
    flagged: list[set[int]] = [set() for _ in training]
    for text, first, last in zip(*windows, strict=True):
        assert last - first >= shared
        flagged[text] |= set(range(first, last))
    return flagged


def expected(heldout: Texts, training: Texts, shared: int) -> list[set[int]]:
    windows = {tuple(text[at : at + shared]) for text in heldout for at in range(len(text) - shared + 1)}
    return [
        {
            word
            for at in range(len(text) - shared + 1)
            if tuple(text[at : at + shared]) in windows
            for word in range(at, at + shared)
        }
        for text in training
    ]


def real_words() -> list[str]:
    return [word.lower() for record in sample("lv_eltec", 12) for word in words_list(record["text"])]


def test_planted_overlaps_of_real_text_are_found_exactly(tmp_path: Path) -> None:
    draw = random.Random(3)
    source = real_words()
    middle = len(source) // 2
    heldout = [source[at : at + draw.choice([20, 49, 50, 51, 300, 1200, 2000])] for at in range(0, middle, 2500)]
    training, planted = [], 0
    for _ in range(400):
        at = draw.randrange(middle, len(source) - 600)
        text = source[at : at + draw.randrange(0, 500)]
        for _ in range(draw.randrange(4)):
            donor = draw.choice(heldout)
            begin = draw.randrange(len(donor))
            piece = donor[begin : begin + draw.choice([24, 25, 48, 49, 50, 51, 74, 75, 200])]
            place = draw.randrange(len(text) + 1)
            text = text[:place] + piece + text[place:]
            planted += len(piece) >= 50
        training.append(text)
    wanted = expected(heldout, training, 50)
    assert planted > 80 and sum(map(bool, wanted)) > 60
    assert found(tmp_path / "index", heldout, training, 50) == wanted
    assert found(tmp_path / "other", heldout[::-1], training, 50, batches=5) == wanted


@pytest.mark.parametrize(("length", "count"), [(49, 0), (50, 50), (51, 51)])
def test_fifty_words_are_a_window_and_forty_nine_are_not(tmp_path: Path, length: int, count: int) -> None:
    source = real_words()
    for offset in range(0, 60):
        piece = source[1000 + offset : 1000 + offset + length]
        training = [["sākums", *piece, "beigas"]]
        assert len(found(tmp_path / "index", [source[1000:1200]], training, 50)[0]) == count


def test_case_and_punctuation_make_no_difference(tmp_path: Path) -> None:
    text = sample("lv_eltec", 1)[0]["text"]
    HeldoutIndex.build([words_of(pl.Series([text]))], 50, tmp_path / "index")
    index = HeldoutIndex.open(tmp_path / "index")
    shouted = text.upper().replace(",", " –\n\n").replace(".", "!")
    words = words_of(pl.Series([shouted]))
    covered = {at for _, first, last in zip(*index.windows(words), strict=True) for at in range(first, last)}
    assert covered == set(range(len(words.codes)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.sampled_from("ab"), max_size=40), max_size=5),
    st.lists(st.lists(st.sampled_from("ab"), max_size=60), max_size=4),
    st.integers(1, 12),
)
def test_any_texts_of_two_words(
    tmp_path: Path, heldout: list[list[str]], training: list[list[str]], shared: int
) -> None:
    assert found(tmp_path / "index", heldout, training, shared) == expected(heldout, training, shared)


def test_text_that_repeats_itself_is_verified_in_bounded_portions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heldout_windows, "PAIRS_AT_ONCE", 64)
    heldout = [["a"] * 500, (["a"] * 9 + ["b"]) * 40]
    training = [["a"] * 300 + ["b"] * 12, (["a"] * 9 + ["b"]) * 20, ["b"] * 100]
    assert found(tmp_path / "index", heldout, training, 10) == expected(heldout, training, 10)


def test_boilerplate_in_many_held_out_texts_is_kept_once(tmp_path: Path) -> None:
    notice = real_words()[:120]
    HeldoutIndex.build(
        [words_from([["virsraksts", str(number), *notice] for number in range(300)])], 50, tmp_path / "x"
    )
    alike = HeldoutIndex.open(tmp_path / "x")
    # Only the blocks whose surroundings reach the title differ from text to text.
    assert len(alike.places) < 300 * 3 and len(alike.words) == 300 * 122
    assert len(alike.windows(words_from([notice])).text) > 0


def test_nothing_held_out(tmp_path: Path) -> None:
    HeldoutIndex.build(list[Words](), 50, tmp_path / "index")
    windows = HeldoutIndex.open(tmp_path / "index").windows(words_from([["a"] * 100]))
    assert len(windows.text) == 0


def test_same_bytes_for_the_same_texts(tmp_path: Path) -> None:
    words = words_from([real_words()[:5000]])
    for name in ("one", "two"):
        HeldoutIndex.build([words], 50, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert np.fromfile(tmp_path / "one", np.uint64)[-1] == 50


def test_the_same_block_is_verified_in_all_its_surroundings(tmp_path: Path) -> None:
    common = [f"kopīgs{number}" for number in range(65)]
    heldout = [[f"l{one}_{n}" for n in range(5)] + common + [f"r{one}_{n}" for n in range(5)] for one in range(8)]
    # Windows that hold whole only the middle block, which is the same in all texts, and one word of their own.
    training = [text[first : first + 50] for text in heldout for first in (4, 21)]
    assert all(found(tmp_path / "index", heldout, training, 50)) and len(training) == 16
