from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.tokenizer.scoring.gold import hunspell_forms, unimorph_derivations
from tests.tokenizer.scoring.making import by_merges, byte_level, sample

from eurolm.errors import InputError
from eurolm.tokenizer.scoring.boundaries import Segmentation, boundaries, read_segmentation, score_boundaries
from eurolm.tokenizer.scoring.candidates import open_all
from eurolm.tokenizer.scoring.words import word_cuts


def written(path: Path, lines: list[str]) -> Segmentation:
    path.write_text("".join(f"{line}\n" for line in lines))
    return read_segmentation(f"lv={path}")


def test_only_forms_that_are_their_morphemes_joined_are_judged(tmp_path: Path) -> None:
    lines = ["pasaule\tpa saule", "māja\tmāj a", "dzīvnieks\tdzīvs nieks", "un\tun", "māja\tmā ja", "dzīve\tdzīvs e"]
    found = written(tmp_path / "gold.tsv", lines)
    assert found.gold == {"pasaule": ["pa", "saule"], "māja": ["māj", "a"], "un": ["un"]}
    assert (found.given, found.coverage) == (5, pytest.approx(3 / 5))
    assert boundaries(["mā", "j", "a"]) == (3, 4)


def test_precision_and_recall_of_words_few_enough_to_count_by_hand(tmp_path: Path) -> None:
    # Cut into: a|b|c  ab|ab  ā (2 bytes)|b  ab
    hand = by_merges([("a", "b")], tmp_path / "hand" / "tokenizer.json")
    found = written(tmp_path / "gold.tsv", ["xyz\tx yz", "abab\tab ab", "āb\tā b", "ab\ta b", "abx\tabx"])
    one = score_boundaries(open_all([str(hand)]), found)["hand"]
    cuts, hits, gold = 2 + 1 + 2 + 0 + 1, 1 + 1 + 1 + 0 + 0, 4
    assert one.precision.value == pytest.approx(hits / cuts)
    assert one.recall.value == pytest.approx(hits / gold)
    assert one.f1 == pytest.approx(2 * hits / (cuts + gold))
    # xyz: 2 cuts on 2 places; abab: 1 on 3; āb: 1 place between characters, so 1 cut; ab and abx: none to hit.
    chance = 2 * 1 / 2 + 1 * 1 / 3 + 1 * 1 / 1
    assert one.random_precision == pytest.approx(chance / cuts)
    assert one.random_recall == pytest.approx(chance / gold)
    assert one.cuts_per_word == pytest.approx(cuts / 5)
    assert one.precision.low is None, "five words give no interval"


def test_the_random_split_is_what_seeded_random_splits_give_on_average(tmp_path: Path) -> None:
    segmentation = read_segmentation(f"lv={unimorph_derivations(tmp_path / 'gold.tsv')}")
    texts = list(sample("lv"))
    candidates = open_all([str(byte_level(1500, texts, tmp_path / "own" / "tokenizer.json"))])
    one = score_boundaries(candidates, segmentation)["own"]
    words = list(segmentation.gold)
    cuts = word_cuts(candidates[0], words)
    generator, hits = random.Random(11), 0.0
    for _ in range(50):
        for word, own in zip(words, cuts, strict=True):
            places = {len(word[:place].encode()) for place in range(1, len(word))}
            drawn = generator.sample(sorted(places), min(len(own or ()), len(places)))
            hits += len({*drawn} & {*boundaries(segmentation.gold[word])}) / 50
    assert one.random_precision == pytest.approx(hits / sum(len(own or ()) for own in cuts), rel=0.03)


def test_latvian_derivations_are_cut_better_than_at_random_by_a_vocabulary_of_latvian(tmp_path: Path) -> None:
    segmentation = read_segmentation(f"lv={unimorph_derivations(tmp_path / 'gold.tsv')}")
    assert 0.35 < segmentation.coverage < 0.45
    assert "dzīvnieks" not in segmentation.gold
    assert segmentation.gold["pasaule"] == ["pa", "saule"]
    own = byte_level(1500, list(sample("lv")), tmp_path / "lv" / "tokenizer.json")
    foreign = byte_level(1500, list(sample("et")), tmp_path / "et" / "tokenizer.json")
    found = score_boundaries(open_all([str(own), str(foreign)]), segmentation)
    one, other = found["lv"], found["et"]
    assert (one.precision.low or 0) > (one.random_precision or 1)
    assert (one.f1 or 0) > 1.2 * (one.random_f1 or 1)
    assert other.precision.beyond
    assert (other.precision.difference or 0) < 0


@pytest.mark.parametrize(("language", "ending"), [("et", "gi"), ("lv", "s")])
def test_affixes_of_the_spelling_lexica_yield_gold_whose_coverage_is_stated(
    tmp_path: Path, language: str, ending: str
) -> None:
    segmentation = read_segmentation(f"{language}={hunspell_forms(language, tmp_path / 'gold.tsv', 1000)}")
    assert len(segmentation.gold) > 300
    assert 0 < segmentation.coverage < 0.2, "most rules strip letters of the stem"
    assert all("".join(morphemes) == word for word, morphemes in segmentation.gold.items())
    assert any(morphemes[-1] == ending for morphemes in segmentation.gold.values())
    own = byte_level(1500, list(sample(language)), tmp_path / "own" / "tokenizer.json")
    one = score_boundaries(open_all([str(own)]), segmentation)["own"]
    assert one.precision.low is not None
    assert one.precision.low < (one.precision.value or 0) < (one.precision.high or 0)
    assert one.unspelled == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [("word", "line 1: a line is a word"), ("word\t ", "line 1: a line is a word"), ("word\two rt", "no word equals")],
)
def test_other_lines_are_refused_by_place(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        written(tmp_path / "gold.tsv", [line])
    with pytest.raises(InputError, match="say the language"):
        read_segmentation(str(tmp_path / "gold.tsv"))
