"""Character n-gram models: proper distributions, equal to a slow dictionary version, better with more context."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from tests.tokens.small_corpus import texts

from eurolm.errors import InputError
from eurolm.evaluate import ngram
from eurolm.evaluate.ngram import CODE_POINTS, estimate_discounts, train

SMALL = ["abracadabra", "šķērsām", "abba", "", "a", "kabala un abaka", "õhtul öö 🙂"]


class Slow:
    """Kneser–Ney with dictionaries, straight from the definition."""

    def __init__(self, documents: list[str], size: int) -> None:
        self.size = size
        self.alphabet = sorted(set("".join(documents)))
        grams: Counter[tuple[str, ...]] = Counter()
        for document in documents:
            symbols = ["<s>"] * (size - 1) + list(document)
            grams.update(tuple(symbols[place - size + 1 : place + 1]) for place in range(size - 1, len(symbols)))
        self.counts = {size: dict(grams)}
        for length in range(size - 1, 0, -1):
            self.counts[length] = dict(Counter(gram[1:] for gram in self.counts[length + 1]))
        self.discounts = {
            length: estimate_discounts(np.array(list(counts.values()))) for length, counts in self.counts.items()
        }

    def discount(self, length: int, count: int) -> float:
        return self.discounts[length][min(count, 3) - 1]

    def probability(self, context: list[str], symbol: str) -> float:
        probability = 1 / CODE_POINTS
        for length in range(1, self.size + 1):
            history = tuple(context[len(context) - length + 1 :]) if length > 1 else ()
            following = {gram: count for gram, count in self.counts[length].items() if gram[:-1] == history}
            total = sum(following.values())
            if not total:
                continue
            count = following.get((*history, symbol), 0)
            left = sum(self.discount(length, other) for other in following.values())
            own = count - self.discount(length, count) if count else 0.0
            probability = (own + left * probability) / total
        return probability

    def bits(self, document: str) -> float:
        total, context = 0.0, ["<s>"] * (self.size - 1)
        for symbol in document:
            total -= math.log2(self.probability(context, symbol))
            context.append(symbol)
        return total


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_equal_to_the_dictionary_version(size: int) -> None:
    training = [*SMALL, *(text[:400] for text in texts("lv", 20_000)[:4])]
    model, slow = train(training, [size])[size], Slow(training, size)
    heldout = ["abrakadabra", "šķidrs", "", "z", "日本 aba", texts("et", 20_000)[0][:200]]
    assert model.bits(heldout) == pytest.approx([slow.bits(document) for document in heldout], rel=1e-9)


@pytest.mark.parametrize("language", ["lv", "et"])
def test_every_distribution_sums_to_one(language: str) -> None:
    found = texts(language, 200_000)
    models = train(found[2:], [1, 3, 5])
    generator = np.random.default_rng(1)
    contexts = ["", "日", "aaaaaa", found[0][:1], found[1][:2]]
    for _ in range(100):
        text = found[int(generator.integers(len(found)))]
        end = int(generator.integers(len(text) + 1))
        contexts.append(text[max(0, end - 6) : end])
    for model in models.values():
        for context in contexts:
            distribution = model.distribution(context)
            assert distribution.sum() == pytest.approx(1, abs=1e-12)
            assert distribution.min() > 0


def test_distribution_is_what_bits_uses() -> None:
    model = train(SMALL, [3])[3]
    for text in ("ab", "ba🙂", "š"):
        symbol = model.alphabet.symbols([text[-1]], 0)[0]
        last = model.bits([text])[0] - model.bits([text[:-1]])[0]
        assert 2**-last == pytest.approx(model.distribution(text[:-1])[symbol - 1])


def test_more_context_is_better_on_real_text() -> None:
    for language in ("lv", "et"):
        found = texts(language, 400_000)
        heldout, training = found[::10], [text for place, text in enumerate(found) if place % 10]
        size = sum(len(text.encode()) for text in heldout)
        costs = {order: model.bits(heldout).sum() / size for order, model in train(training, [1, 3, 5]).items()}
        assert costs[5] < costs[3] < costs[1]
        assert 1.0 < costs[5] < 3.0


def test_counting_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = texts("lv", 60_000)
    whole = train(found, [4])[4]
    monkeypatch.setattr(ngram, "CHARACTERS_PER_CHUNK", 1000)
    parts = train(found, [4])[4]
    for one, other in zip(whole.orders, parts.orders, strict=True):
        assert np.array_equal(one.grams, other.grams)
        assert np.array_equal(one.discounted, other.discounted)


def test_one_pass_gives_the_models_of_separate_passes() -> None:
    found = texts("et", 60_000)
    together = train(found, [2, 5])
    alone = train(found, [2])[2]
    assert together[2].bits(found[:3]).tolist() == alone.bits(found[:3]).tolist()


def test_unknown_characters_share_their_price_and_leave_the_rest_alone() -> None:
    model = train(SMALL, [3])[3]
    one, other = model.bits(["日", "本"])
    assert one == other
    assert math.isfinite(one)
    assert one > math.log2(CODE_POINTS)  # dearer than not knowing anything: the model believes in its alphabet
    assert model.bits(["ab"])[0] < 12


def test_rare_characters_beyond_63_bits_become_unknown() -> None:
    many = "".join(chr(0x4E00 + place) for place in range(7000))
    model = train([many, many[:6000] * 2, "abc" * 10], [5])[5]
    assert model.alphabet.known < 6300
    assert model.alphabet.base**5 < 2**63
    assert model.distribution("abca").sum() == pytest.approx(1, abs=1e-12)
    assert math.isfinite(model.bits([many])[0])


def test_discounts_of_chen_and_goodman() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [100, 40, 20, 10, 5])
    share = 100 / 180
    wanted = (1 - 2 * share * 0.4, 2 - 3 * share * 0.5, 3 - 4 * share * 0.5)
    assert estimate_discounts(counts) == pytest.approx(wanted)
    assert estimate_discounts(np.array([1, 1, 2])) == pytest.approx((0.5, 0.5, 0.5))
    assert estimate_discounts(np.array([5, 7])) == (0.5, 0.5, 0.5)


def test_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="no training text"):
        train(["", ""], [3])
