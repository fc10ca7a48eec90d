"""Character n-gram models: what counting letters achieves on the same text, beside a model's bits per byte.

Interpolated Kneser–Ney with the three discounts of Chen & Goodman 1999 (Computer Speech & Language 13, section 4.4:
"modified Kneser–Ney"), estimated per order from counts of counts. The top order counts occurrences, lower orders
distinct left neighbours; the lowest is interpolated with a uniform share over all Unicode code points, so a character
never seen in training has a price and every distribution sums to 1. A document starts in a padded context and its end
is not predicted, as in bits per byte of a language model. An n-gram is one int64; counting is sorting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from eurolm.errors import InputError

CODE_POINTS = 0x110000 - 0x800
"""Unicode scalar values: what a character of valid UTF-8 can be."""

PAD = 0
"""Symbol before a document's first character; never predicted."""

CHARACTERS_PER_CHUNK = 4_000_000
"""Characters counted at once; bounds memory for any amount of text."""


@dataclass(frozen=True)
class Alphabet:
    """Characters as dense symbols: PAD = 0, known ones from 1 by code point, `unknown` last."""

    table: np.ndarray
    """int32 [0x110000]: symbol of each code point."""
    known: int

    @property
    def unknown(self) -> int:
        """Symbol of every character outside the alphabet."""
        return self.known + 1

    @property
    def base(self) -> int:
        """Number of symbols: an n-gram is a number in this base."""
        return self.known + 2

    def uniform(self, symbols: np.ndarray) -> np.ndarray:
        """float64 share of each symbol if all code points are equally likely; `unknown` stands for all the others."""
        return np.where(symbols == self.unknown, CODE_POINTS - self.known, 1) / CODE_POINTS

    def symbols(self, texts: Sequence[str], pads: int) -> np.ndarray:
        """int32 symbols of all texts, `pads` PADs before each."""
        between = np.full(pads, PAD, np.int32)
        parts = [part for text in texts for part in (between, self.table[_code_points(text)])]
        return np.concatenate(parts) if parts else np.empty(0, np.int32)


@dataclass(frozen=True)
class Order:
    """Counts of one order: n-grams sorted as numbers, and per context what its discounted n-grams leave over."""

    grams: np.ndarray
    discounted: np.ndarray
    """float64: count of each n-gram less its discount."""
    contexts: np.ndarray
    totals: np.ndarray
    left_over: np.ndarray
    """float64: discounts summed over the n-grams of each context."""
    discounts: tuple[float, float, float]


@dataclass(frozen=True)
class NgramModel:
    """A trained model of `len(orders)` characters."""

    alphabet: Alphabet
    orders: tuple[Order, ...]
    """From single characters up."""

    def bits(self, texts: Sequence[str]) -> np.ndarray:
        """float64 −log2 probability of each text. An unknown character costs the unknown symbol's price shared evenly
        over all code points outside the alphabet."""
        size = len(self.orders)
        lengths = np.array([len(text) for text in texts], np.int64)
        symbols = self.alphabet.symbols(texts, size - 1)
        grams = _grams(symbols, size, self.alphabet.base)
        last = symbols[size - 1 :] if size > 1 else symbols
        inside = last != PAD
        probability = self._probability(grams[inside], last[inside])
        unknown = last[inside] == self.alphabet.unknown
        cost = -np.log2(probability)
        cost[unknown] += np.log2(CODE_POINTS - self.alphabet.known)
        sums = np.concatenate(([0.0], np.cumsum(cost)))
        ends = np.cumsum(lengths)
        return sums[ends] - sums[ends - lengths]

    def distribution(self, context: str) -> np.ndarray:
        """float64 probability of every symbol after `context` (a document's beginning); PAD excluded, sums to 1."""
        size = len(self.orders)
        history = self.alphabet.symbols([context], size - 1)[len(context) :]
        nexts = np.arange(1, self.alphabet.base)
        prefix = 0
        for symbol in history[: size - 1] if size > 1 else []:
            prefix = prefix * self.alphabet.base + int(symbol)
        return self._probability(prefix * self.alphabet.base + nexts, nexts)

    def _probability(self, grams: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """Probability of the last symbol of each full-length n-gram given the rest of it."""
        probability = self.alphabet.uniform(symbols)
        for length, order in enumerate(self.orders, start=1):
            gram = grams % self.alphabet.base**length if length < len(self.orders) else grams
            context, seen = _find(order.contexts, gram // self.alphabet.base)
            place, known = _find(order.grams, gram)
            mass = np.where(known, order.discounted[place], 0.0) + order.left_over[context] * probability
            probability = np.where(seen, mass / order.totals[context], probability)
        return probability


def train(texts: Sequence[str], sizes: Sequence[int]) -> dict[int, NgramModel]:
    """One model per size in `sizes` (n ≥ 1), counted in one pass. Raises InputError where there is no text."""
    longest = max(sizes)
    alphabet = build_alphabet(texts, longest)
    grams, counts = _count(texts, alphabet, longest)
    if not len(grams):
        raise InputError("the n-gram models have no training text.")
    models = {}
    for size in sorted(set(sizes)):
        top_grams, top_counts = _sum_by(grams % alphabet.base**size if size < longest else grams, counts)
        models[size] = NgramModel(alphabet, _orders(top_grams, top_counts, size, alphabet.base))
    return models


def build_alphabet(texts: Iterable[str], size: int) -> Alphabet:
    """The characters of `texts`; the rarest are left out where `size` of them would not fit 63 bits."""
    frequency = np.zeros(0x110000, np.int64)
    for text in texts:
        points, counts = np.unique(_code_points(text), return_counts=True)
        frequency[points] += counts
    room = int((2**63 - 1) ** (1 / size)) - 3
    present = np.flatnonzero(frequency)
    if len(present) > room:
        present = np.sort(present[np.argsort(-frequency[present], kind="stable")[:room]])
    table = np.full(0x110000, len(present) + 1, np.int32)
    table[present] = np.arange(1, len(present) + 1, dtype=np.int32)
    return Alphabet(table, len(present))


def _count(texts: Sequence[str], alphabet: Alphabet, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted n-grams of all documents and how often each occurs."""
    grams, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for chunk in _chunks(texts):
        symbols = alphabet.symbols(chunk, size - 1)
        found = _grams(symbols, size, alphabet.base)[symbols[size - 1 :] != PAD]
        unique, times = np.unique(found, return_counts=True)
        grams, counts = _sum_by(np.concatenate((grams, unique)), np.concatenate((counts, times)))
    return grams, counts


def _orders(grams: np.ndarray, counts: np.ndarray, size: int, base: int) -> tuple[Order, ...]:
    orders = [_order(grams, counts, base)]
    for length in range(size - 1, 0, -1):
        # Each distinct longer n-gram is one distinct left neighbour of its suffix.
        grams, counts = _sum_by(grams % base**length, np.ones(len(grams), np.int64))
        orders.append(_order(grams, counts, base))
    return tuple(reversed(orders))


def _order(grams: np.ndarray, counts: np.ndarray, base: int) -> Order:
    discounts = estimate_discounts(counts)
    discount = np.array((0.0, *discounts))[np.minimum(counts, 3)]
    of_gram = grams // base
    contexts, starts = np.unique(of_gram, return_index=True)
    return Order(
        grams=grams,
        discounted=counts - discount,
        contexts=contexts,
        totals=np.add.reduceat(counts, starts).astype(np.float64),
        left_over=np.add.reduceat(discount, starts),
        discounts=discounts,
    )


def estimate_discounts(counts: np.ndarray) -> tuple[float, float, float]:
    """Discounts of n-grams seen once, twice, and more often (Chen & Goodman 1999, equation 26).

    Few n-grams can have no count of 1 to 4 or give values out of range; then one discount n1 / (n1 + 2 n2) serves all
    three (Kneser & Ney 1995), and 0.5 where even that has no counts.
    """
    once, twice, thrice, four = (int(np.count_nonzero(counts == number)) for number in (1, 2, 3, 4))
    single = once / (once + 2 * twice) if once and twice else 0.5
    if not (once and twice and thrice and four):
        return single, single, single
    discounts = (1 - 2 * single * twice / once, 2 - 3 * single * thrice / twice, 3 - 4 * single * four / thrice)
    if all(0 < discount < number for number, discount in enumerate(discounts, start=1)):
        return discounts
    return single, single, single


def _sum_by(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct keys and the sum of the counts of each."""
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))) if len(keys) else np.empty(0, np.int64)
    return keys[starts], np.add.reduceat(counts, starts) if len(keys) else counts


def _grams(symbols: np.ndarray, size: int, base: int) -> np.ndarray:
    """int64 n-gram ending at each position from `size` − 1 on."""
    count = max(0, len(symbols) - size + 1)
    grams = np.zeros(count, np.int64)
    for offset in range(size):
        grams *= base
        grams += symbols[offset : offset + count]
    return grams


def _find(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place of each wanted value in sorted `keys` (0 where absent) and whether it is there."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found = keys[place] == wanted
    return np.where(found, place, 0), found


def _chunks(texts: Sequence[str]) -> Iterable[list[str]]:
    chunk: list[str] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if size >= CHARACTERS_PER_CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)
