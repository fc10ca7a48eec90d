from __future__ import annotations

import io
import math
from collections import Counter
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pytest
from tests.tokenizer.scoring.making import by_merges, byte_level, sample, sentencepiece_model

from eurolm.console import Reporter
from eurolm.errors import InputError
from eurolm.tokenizer.scoring.candidates import Candidate, open_all, open_candidate
from eurolm.tokenizer.scoring.metrics import encode, language_figures, renyi
from eurolm.tokenizer.scoring.score import score
from eurolm.tokenizer.scoring.texts import Texts
from eurolm.tokenizer.scoring.words import LetterWords, single_token_share, word_cuts

QUIET = Reporter("quiet")


def texts_of(documents: list[str], groups: list[str] | None = None) -> Texts:
    size = sum(len(text.encode()) for text in documents)
    return Texts("lv", documents, groups or [str(n) for n in range(len(documents))], ["x.txt"], size)


@pytest.fixture(scope="module")
def handmade(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """Knows ` ab`, `ab`, ` a` and `ā` (two bytes); everything else is single bytes."""
    path = tmp_path_factory.mktemp("handmade") / "hand" / "tokenizer.json"
    return open_candidate(str(by_merges([("a", "b"), ("Ġ", "ab"), ("Ä", "ģ"), ("Ġ", "a")], path)))


def test_every_figure_of_a_text_small_enough_to_count_by_hand(handmade: Candidate) -> None:
    # ab| ab|,        x| ā|b|         ņ is two bytes without a merge
    documents = ["ab ab,", "x āb", "aņ ab 1"]
    assert [len(ids) for ids in handmade.encode_batch(documents)] == [3, 4, 6]
    figures, encoded, sums = language_figures([handmade], texts_of(documents), None)
    values = {metric: figure.value for metric, figure in figures["hand"].items()}
    tokens, words, size, characters = 13, 2 + 2 + 3, 6 + 5 + 8, 6 + 4 + 7
    assert sums.totals["words"] == words
    assert values["tokens_per_word"] == pytest.approx(tokens / words)
    assert values["bytes_per_token"] == pytest.approx(size / tokens)
    assert values["characters_per_token"] == pytest.approx(characters / tokens)
    # Words of letters: ab ab x āb aņ ab; with a space before them ` ab` and `x` are whole, `ā|b` and `a|.|.` are not.
    assert values["continued_word_share"] == pytest.approx(2 / 6)
    # Of the four different ones ab and x.
    assert values["single_token_share"] == pytest.approx(2 / 4)
    # The two bytes of ņ.
    assert values["byte_fallback_share"] == pytest.approx(2 / 13)
    assert values["unknown_share"] == 0
    counts = Counter(encoded[0].ids.tolist())
    assert sum(counts.values()) == tokens
    assert values["vocabulary_used"] == pytest.approx(len(counts) / (256 + 4))
    bits = math.log2(sum((count / tokens) ** 2.5 for count in counts.values())) / (1 - 2.5)
    assert values["renyi_entropy_bits"] == pytest.approx(bits)
    assert values["renyi_efficiency"] == pytest.approx(bits / math.log2(len(counts)))
    assert all(figure.low is None for figure in figures["hand"].values()), "three documents give no interval"


def test_renyi_efficiency_of_equal_counts_is_one_and_of_one_token_zero(handmade: Candidate) -> None:
    flat, _ = renyi(encode(handmade, ["xyzw"]), 1)
    assert (flat.bits, flat.efficiency) == (pytest.approx(2), pytest.approx(1))
    assert renyi(encode(handmade, ["xxxx"]), 1)[0].efficiency == 0


def test_renyi_efficiency_is_what_tokenization_scorer_computes(tmp_path: Path) -> None:
    metrics = pytest.importorskip("tokenization_scorer.metrics", reason="tokenization-scorer 1.1.8 is not installed")
    documents = list(sample("lv", 60))
    candidate = open_candidate(str(byte_level(500, documents, tmp_path / "tokenizer.json")))
    encoded = encode(candidate, documents)
    tokens = [[str(number) for number in ids] for ids in candidate.encode_batch(documents)]
    with redirect_stderr(io.StringIO()):
        theirs = metrics.get_metric("renyi_efficiency")(tokens, power=2.5)
        entropy = metrics.get_metric("renyi_entropy")(tokens, power=2.5)
    ours, _ = renyi(encoded, len(documents))
    assert ours.efficiency == pytest.approx(theirs, rel=1e-12)
    assert ours.bits == pytest.approx(entropy, rel=1e-12)


def test_the_interval_of_renyi_efficiency_is_that_of_a_full_bootstrap(tmp_path: Path) -> None:
    documents = list(sample("et", 150))
    candidate = open_candidate(str(byte_level(300, documents, tmp_path / "hand" / "tokenizer.json")))
    figures, encoded, _ = language_figures([candidate], texts_of(documents), None)
    ours = figures["hand"]["renyi_efficiency"]
    own = encoded[0]
    lists = [own.ids[start:end] for start, end in zip(own.offsets[:-1], own.offsets[1:], strict=True)]
    table = np.stack([np.bincount(ids, minlength=candidate.vocab_size) for ids in lists])
    seen = int((table.sum(0) > 0).sum())
    generator, drawn = np.random.default_rng(7), []
    for _ in range(600):
        counts = table[generator.integers(0, len(documents), len(documents))].sum(0)
        share = counts / counts.sum()
        drawn.append(np.log2((share**2.5).sum()) / -1.5 / np.log2(seen))
    assert ours.low is not None
    assert ours.high is not None
    full = np.quantile(drawn, 0.975) - np.quantile(drawn, 0.025)
    assert (ours.high - ours.low) / full == pytest.approx(1, abs=0.15)


def test_words_are_cut_at_bytes_and_letters_are_counted_as_written(handmade: Candidate) -> None:
    assert word_cuts(handmade, ["ab", "abab", "āb", "aņ", "x"]) == [(), (2,), (2,), (1, 2), ()]
    letters = LetterWords.of(["Māja māja a1 2 _x māja!", "māja"])
    assert letters.frequent() == ["māja", "Māja"]
    assert letters.per_document(letters.counted).tolist() == [3, 1]
    assert single_token_share(handmade, []) is None


def test_a_word_list_replaces_the_texts_own_words(handmade: Candidate) -> None:
    figures, _, _ = language_figures([handmade], texts_of(["ab ab"]), ["x", "y", "zz", "āb"])
    assert figures["hand"]["single_token_share"].value == pytest.approx(2 / 4)


def test_two_tokenizers_are_compared_on_the_same_draws(tmp_path: Path) -> None:
    """Documents differ in cost far more than the tokenizers do: only a paired comparison sees the difference."""
    documents = [*sample("lv", 150)]
    better = byte_level(700, documents, tmp_path / "better" / "tokenizer.json")
    worse = byte_level(600, documents, tmp_path / "worse" / "tokenizer.json")
    candidates = open_all([str(better), str(worse)])
    figures, _, _ = language_figures(candidates, texts_of(documents), None)
    first, second = figures["better"]["tokens_per_word"], figures["worse"]["tokens_per_word"]
    assert first.beyond is None
    assert second.value == pytest.approx((first.value or 0) + (second.difference or 0))
    assert (first.low or 0) < (first.value or 0) < (first.high or 0)
    assert (first.high or 0) > (second.low or 0), "the intervals overlap"
    assert (second.difference_low or 0) > 0
    assert second.beyond


def test_the_same_vocabulary_twice_differs_in_nothing(tmp_path: Path) -> None:
    documents = list(sample("lv", 100))
    one = byte_level(300, documents, tmp_path / "one" / "tokenizer.json")
    candidates = open_all([f"a={one}", f"b={one}"])
    figures, _, _ = language_figures(candidates, texts_of(documents), None)
    for figure in figures["b"].values():
        assert figure.difference == 0
        assert not figure.beyond


def test_text_that_a_vocabulary_loses_is_counted_and_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = list(sample("lv", 60))
    poor = sentencepiece_model(documents, tmp_path / "poor.model", model_type="unigram", character_coverage=0.99)
    good = byte_level(300, documents, tmp_path / "good" / "tokenizer.json")
    odd = [*documents, "日本語 teksts", "🙂"]
    scores = score(open_all([str(good), str(poor)]), {"lv": texts_of(odd)}, None, [], {}, QUIET)
    good_facts, poor_facts = scores.tokenizers
    assert good_facts.texts_lost == {"lv": 0}
    assert poor_facts.texts_lost["lv"] >= 2
    assert (scores.figures["lv"]["poor"]["unknown_share"].value or 0) > 0
    assert scores.figures["lv"]["good"]["unknown_share"].value == 0
    said = capsys.readouterr().err
    assert "poor does not give back" in " ".join(said.split())
    assert "good does not give back" not in said


def test_text_that_becomes_nothing_is_an_error(tmp_path: Path) -> None:
    documents = list(sample("lv", 60))
    model = sentencepiece_model(
        documents, tmp_path / "x.model", model_type="bpe", normalization_rule_name="nmt_nfkc",
        remove_extra_whitespaces=True,
    )  # fmt: skip
    with pytest.raises(InputError, match="turns all lv text into no tokens"):
        score(open_all([str(model)]), {"lv": texts_of(["\u200b", "\u0007"])}, None, [], {}, QUIET)
