from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tokenizer.reference import merges, pre_tokens, trained
from tests.tokens.small_corpus import QUIET, corpus_texts

from eurolm.config.tokens import TokenizerConfig
from eurolm.errors import ConfigError, InputError
from eurolm.tokenizer.bpe import train
from eurolm.tokenizer.counts import build_counts, read_counts
from eurolm.tokenizer.inventory import Inventory, WeightedWords, read_inventory
from eurolm.tokenizer.special import special_tokens

SPECIAL = special_tokens(4)
EVEN = {"et": 1.0, "lv": 1.0}


@pytest.fixture(scope="module")
def inventory(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    out = tmp_path_factory.mktemp("inventory")
    build_counts(TokenizerConfig(workers=1), corpus, out, QUIET)
    return read_inventory(read_counts(out))


@pytest.mark.parametrize("vocab_size", [600, 4096])
def test_the_tokenizer_is_byte_for_byte_what_tokenizers_trains(
    corpus: Path, inventory: Inventory, vocab_size: int
) -> None:
    own = train(inventory.weighted(EVEN), vocab_size, SPECIAL).tokenizer(vocab_size)
    assert own.to_str() == trained(corpus_texts(corpus).values(), vocab_size, SPECIAL).to_str()


def test_a_smaller_vocabulary_is_cut_from_a_larger_one(inventory: Inventory) -> None:
    large = train(inventory.weighted(EVEN), 3000, SPECIAL)
    small = train(inventory.weighted(EVEN), 700, SPECIAL)
    assert large.tokenizer(700).to_str() == small.tokenizer(700).to_str()


def test_weights_count_text_several_times(corpus: Path, inventory: Inventory) -> None:
    texts = corpus_texts(corpus)
    estonian = [text for name, text in texts.items() if name.startswith("et")]
    own = train(inventory.weighted({"et": 3.0, "lv": 1.5}), 2000, SPECIAL).tokenizer(2000)
    # A pair counts from two occurrences in the heaviest language on, which are four here.
    assert own.to_str() == trained([*texts.values(), *estonian], 2000, SPECIAL, min_frequency=4).to_str()


@settings(max_examples=250, deadline=None)
@given(
    words=st.dictionaries(
        st.text("ab", min_size=1, max_size=30) | st.text("aāb-", min_size=1, max_size=12), st.integers(1, 6), min_size=1
    ),
    size=st.integers(1, 60),
    unit=st.sampled_from([1, 7, 10_000_000_000]),
    seed=st.randoms(use_true_random=False),
)
def test_merges_of_any_words_are_those_of_tokenizers(words: dict[str, int], size: int, unit: int, seed: object) -> None:
    reference = trained([word for word, count in words.items() for _ in range(count)], 257 + size, ["<s>"])
    counted: Counter[str] = Counter()
    for word, count in words.items():
        for piece, times in pre_tokens([word]).items():
            counted[piece] += times * count
    rows = [(word, count * unit) for word, count in counted.items()]
    seed.shuffle(rows)  # type: ignore[attr-defined]
    own = train(WeightedWords(rows, unit), 257 + size, ["<s>"])
    assert list(own.merges) == merges(reference)
    assert own.tokenizer(reference.get_vocab_size()).get_vocab() == reference.get_vocab()


def test_too_few_pairs_name_the_size_reached() -> None:
    learned = train(WeightedWords([("daudz", 2), ("teksta", 1)], 1), 600, SPECIAL)
    with pytest.raises(InputError, match=r"vocab_size = 600, but the text yields only 272 entries.*vocab_size=272"):
        learned.tokenizer(600)


def test_weights_become_integers_that_a_reader_can_check() -> None:
    inventory = Inventory(["a", "b"], np.array([[1, 10], [2, 0]]), ("et", "lv"))
    assert inventory.weighted({"et": 5.0, "lv": 5.0}) == WeightedWords([("a", 11), ("b", 2)], 1)
    assert inventory.weighted({"et": 0.5, "lv": 0.2}) == WeightedWords([("a", 25), ("b", 10)], 5)
    with pytest.raises(ConfigError, match=r"tokenizer.weights.lv = 1e-09 is less than 1/2,000,000 of the greatest"):
        inventory.weighted({"et": 1.0, "lv": 1e-9})
