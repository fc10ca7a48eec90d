from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.tokenizer.scoring.making import by_merges, byte_level, mistral_data, sample

from eurolm.tokenizer.scoring.candidates import open_all
from eurolm.tokenizer.scoring.parity import parity
from eurolm.tokenizer.scoring.texts import Parallel, read_parallel

EVAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "eval" / "multi"


def shared(name: str) -> Path:
    if not (EVAL / name).is_file():
        pytest.skip(f"{EVAL / name} is not here")
    return EVAL / name


def test_parity_of_a_text_small_enough_to_count_by_hand(tmp_path: Path) -> None:
    hand = by_merges([("a", "b")], tmp_path / "hand" / "tokenizer.json")
    parallel = Parallel(["x"], {"lv": ["abab", "x"], "et": ["ab", "xy"], "en": ["abababab", "ab"]}, ["1", "2"], 0)
    found = parity(open_all([str(hand)]), parallel)["hand"]
    assert {code: one.tokens for code, one in found.languages.items()} == {"lv": 3, "et": 3, "en": 5}
    assert found.best == "et", "of equal ones the first by name"
    assert found.languages["en"].ratio.value == pytest.approx(5 / 3)
    assert found.languages["en"].excess.value == pytest.approx(abs(math.log(5 / 3)) - abs(math.log(10 / 4)))
    assert found.languages["lv"].excess.value == pytest.approx(0 - abs(math.log(5 / 4)))
    assert found.languages["et"].ratio.value == 1
    assert max(one.ratio.value or 0 for one in found.languages.values()) == pytest.approx(5 / 3)


def test_a_vocabulary_of_one_language_costs_the_other_more_than_its_characters(tmp_path: Path) -> None:
    """On FLORES, as in the facts: the lv-only vocabulary is far from parity and beyond the interval of a mixed one."""
    lv, et = list(sample("lv")), list(sample("et"))
    mixed = byte_level(1200, lv + et, tmp_path / "mixed" / "tokenizer.json")
    alone = byte_level(1200, lv, tmp_path / "alone" / "tokenizer.json")
    parallel = read_parallel(f"lv,et={shared('flores101_devtest.jsonl')}")
    found = parity(open_all([str(mixed), str(alone)]), parallel)
    assert found["alone"].best == "lv"
    one, other = found["mixed"].languages["et"], found["alone"].languages["et"]
    assert (other.ratio.value or 0) > 1.2 > (one.ratio.value or 0)
    assert other.ratio.beyond
    assert (other.excess.low or 0) > 0
    assert (other.excess.value or 0) > (one.excess.value or 0) + 0.1
    assert one.characters < found["mixed"].languages["lv"].characters


@pytest.mark.parametrize(("name", "characters"), [("flores101_devtest.jsonl", 1.040), ("ntrex128.jsonl", 1.083)])
def test_translators_differ_in_length_as_known(name: str, characters: float) -> None:
    """The half of the lines that is here differs a little from the whole that the ratios were taken on."""
    parallel = read_parallel(f"lv,et={shared(name)}")
    lengths = {code: sum(map(len, rows)) for code, rows in parallel.rows.items()}
    assert lengths["lv"] / lengths["et"] == pytest.approx(characters, abs=0.02)


def test_mistrals_vocabulary_costs_latvian_twice_as_much_as_english() -> None:
    parallel = read_parallel(f"lv,et,en={shared('ntrex128.jsonl')}")
    (found,) = parity(open_all([f"m={mistral_data() / 'tokenizer.model.v1'}"]), parallel).values()
    latvian = found.languages["lv"].ratio
    assert found.best == "en"
    assert 2.0 < (latvian.low or 0) < (latvian.value or 0) < (latvian.high or 0) < 2.5
