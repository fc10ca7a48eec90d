"""What a language's documents cost each tokenizer: the figures of one language, side by side.

Fertility and continued words are after Rust et al. 2021 (arXiv 2012.15613), who count on a treebank's words: here a
word of fertility is a run without white space, and one of the continued share a run of letters, see `words`. Rényi
efficiency is that of Zouhar et al. 2023 (arXiv 2306.16842) as `tokenization-scorer` computes it: entropy of order 2.5
of the tokens seen, over the logarithm of how many different ones were seen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eurolm.tokenizer.scoring.candidates import Candidate
from eurolm.tokenizer.scoring.intervals import Estimate, Figure, Resampled, compared, resample
from eurolm.tokenizer.scoring.texts import Texts
from eurolm.tokenizer.scoring.words import LetterWords, single_token_share, word_cuts

RENYI_POWER = 2.5
"""The power with the highest correlation with translation quality (Zouhar et al. 2023)."""

DEFINITIONS = {
    "tokens_per_word": "fertility: tokens / words, a word being a run without white space",
    "bytes_per_token": "UTF-8 bytes of the text / tokens",
    "characters_per_token": "Unicode characters of the text / tokens",
    "continued_word_share": "share of words, here runs of letters, that no single token spells",
    "renyi_efficiency": "Rényi entropy of order 2.5 of the tokens / log2 of the different tokens seen",
    "byte_fallback_share": "share of tokens that spell raw bytes instead of whole characters",
    "unknown_share": "share of tokens that stand for text the vocabulary cannot spell",
    "single_token_share": "share of the 10,000 most frequent words (of the text, or of --words) that one token spells",
    "vocabulary_used": "share of the vocabulary's ids that the text uses",
    "renyi_entropy_bits": "Rényi entropy of order 2.5 of the tokens in bits",
    "texts_lost": "documents whose tokens do not spell them exactly (unknown tokens, rewriting normalisers)",
    "mb_per_cpu_s": "megabytes of text encoded per CPU-second, once: noisy, a rough order only",
}


@dataclass(frozen=True)
class Encoded:
    """One tokenizer's tokens of one language's documents, one after another; document i has `offsets[i:i + 2]`."""

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    cpu_s: float
    lost: list[int]
    """Documents that the tokens do not give back."""

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Tokens per document."""
        return np.diff(self.offsets)

    def per_document(self, values: NDArray[np.number]) -> NDArray[np.float64]:
        """Sum over each document's tokens of a value per id."""
        total = np.concatenate([[0.0], np.cumsum(values[self.ids], dtype=np.float64)])
        return total[self.offsets[1:]] - total[self.offsets[:-1]]


def encode(candidate: Candidate, texts: Sequence[str]) -> Encoded:
    """Encode the documents, in order."""
    started = time.process_time()
    lists = candidate.encode_batch(texts)
    cpu_s = time.process_time() - started
    lost = [
        place for place, (text, ids) in enumerate(zip(texts, lists, strict=True)) if not candidate.returns(text, ids)
    ]
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in lists])]).astype(np.int64)
    flat = np.concatenate([np.array(ids, np.int32) for ids in lists]) if lists else np.zeros(0, np.int32)
    return Encoded(flat, offsets, cpu_s, lost)


def language_figures(
    candidates: Sequence[Candidate], texts: Texts, frequent: Sequence[str] | None
) -> tuple[dict[str, dict[str, Figure]], list[Encoded], Resampled]:
    """Metric → figure by tokenizer name; their tokens; and the sums over documents. `frequent`: words given, else the
    text's own most frequent."""
    encoded = [encode(candidate, texts.texts) for candidate in candidates]
    letters = LetterWords.of(texts.texts)
    columns: dict[str, NDArray[np.number]] = {
        "bytes": np.array([len(text.encode()) for text in texts.texts]),
        "characters": np.array([len(text) for text in texts.texts]),
        "words": np.array([len(text.split()) for text in texts.texts]),
        "letter_words": letters.per_document(letters.counted),
    }
    entropies = []
    for number, (candidate, own) in enumerate(zip(candidates, encoded, strict=True)):
        cuts = word_cuts(candidate, letters.words.distinct)
        continued = np.array([word != () for word in cuts], np.bool_)
        entropy, influence = renyi(own, len(texts.texts))
        entropies.append(entropy)
        columns |= {
            f"tokens {number}": own.tokens,
            f"continued {number}": letters.per_document(continued),
            f"fallback {number}": own.per_document(_flags(candidate, candidate.opened.fallback_ids)),
            f"unknown {number}": own.per_document(_flags(candidate, candidate.opened.unknown_ids)),
            f"renyi {number}": influence,
        }
    sums = resample(columns, texts.groups)
    known = letters.frequent() if frequent is None else frequent
    figures = [
        _estimates(number, sums, entropies[number])
        | {
            "single_token_share": Estimate(single_token_share(candidate, known)),
            "vocabulary_used": Estimate(len(np.unique(encoded[number].ids)) / candidate.vocab_size),
        }
        for number, candidate in enumerate(candidates)
    ]
    paired = {metric: compared([one[metric] for one in figures]) for metric in figures[0]}
    named = {
        candidate.name: {metric: paired[metric][number] for metric in paired}
        for number, candidate in enumerate(candidates)
    }
    return named, encoded, sums


def _estimates(number: int, sums: Resampled, entropy: Renyi) -> dict[str, Estimate]:
    return {
        "tokens_per_word": sums.ratio(f"tokens {number}", "words"),
        "bytes_per_token": sums.ratio("bytes", f"tokens {number}"),
        "characters_per_token": sums.ratio("characters", f"tokens {number}"),
        "continued_word_share": sums.ratio(f"continued {number}", "letter_words"),
        "renyi_efficiency": sums.shifted(entropy.efficiency, f"renyi {number}"),
        "byte_fallback_share": sums.ratio(f"fallback {number}", f"tokens {number}"),
        "unknown_share": sums.ratio(f"unknown {number}", f"tokens {number}"),
        "renyi_entropy_bits": Estimate(entropy.bits),
    }


@dataclass(frozen=True)
class Renyi:
    """Entropy of order 2.5 in bits, and over log2 of the different tokens seen (0 for a single one)."""

    bits: float
    efficiency: float


def renyi(encoded: Encoded, documents: int, power: float = RENYI_POWER) -> tuple[Renyi, NDArray[np.float64]]:
    """Rényi entropy of the tokens, and each document's influence on the efficiency.

    With counts c and their sum N the entropy is log2(Σ(c/N)^α) / (1 − α); its derivative by a document's weight is
    α/(1 − α)/ln 2 · (Σ_tokens c^(α−1) / Σ c^α − n/N), n the document's tokens.
    """
    counts = np.bincount(encoded.ids).astype(np.float64)
    seen, total = int((counts > 0).sum()), counts.sum()
    if seen < 2:
        return Renyi(0.0, 0.0), np.zeros(documents)
    mass = (counts / total) ** (power - 1)
    bits = float(np.log2((mass * counts / total).sum()) / (1 - power))
    scale = power / (1 - power) / np.log(2) / np.log2(seen)
    share = encoded.per_document(mass) / (mass * counts).sum()
    return Renyi(bits, bits / float(np.log2(seen))), scale * (share - encoded.tokens / total)


def _flags(candidate: Candidate, ids: frozenset[int]) -> NDArray[np.int64]:
    flags = np.zeros(candidate.vocab_size, np.int64)
    flags[list(ids)] = 1
    return flags
