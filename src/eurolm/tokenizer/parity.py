"""Parity search: language weights at which parallel text costs the same number of tokens in every language.

Equal bytes are not equal cost: trained on as much Latvian as Estonian, Latvian takes 6 to 13 % more tokens for the same
content. A language's weight multiplies its pre-token counts, so every point of the search is trained from stored
counts. The search moves all log weights at once, each by its language's excess cost times a gain that halves when the
excess changes sign and grows while it does not shrink: bisection for two languages, and the same thing for many. It
needs neither smoothness nor a slope, which vary with text and vocabulary size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tokenizers import Tokenizer

from eurolm.config.tokens import TokenizerConfig
from eurolm.console import Reporter
from eurolm.errors import ConfigError, EurolmError
from eurolm.tokenizer.bpe import check_size
from eurolm.tokenizer.counts import Counts
from eurolm.tokenizer.inventory import Inventory
from eurolm.tokenizer.special import special_tokens
from eurolm.tokenizer.train import Vocabulary, train
from eurolm.tokenizer.tuning import Tuning, read_tuning

TOLERANCE = 0.01
"""The dearest language may cost this much more than the cheapest."""
ROUNDS = 24
FIRST_GAIN = 6.0
"""A first guess: 10 % excess cost is made good by a weight about e^0.6 times as great."""
LARGEST_STEP = math.log(4)
LARGEST_LOG = math.log(20)
"""A language's share of bytes goes this far up or down from equal bytes; parity beyond has other causes."""
EXTREME = 4
"""Shares of bytes further apart than this are warned of: between registers costs differ more than between languages."""
POINTS = (1, 2, 4, 8)
"""Vocabulary sizes of the Pareto points: `vocab_size` divided by these."""


@dataclass(frozen=True)
class Cost:
    """What the tuning text costs at some weights: tokens per language, tokens per word, dearest / cheapest."""

    weights: dict[str, float]
    tokens: dict[str, int]
    tokens_per_word: dict[str, float]
    ratio: float


@dataclass(frozen=True)
class Point:
    """One point of fertility against vocabulary size. `balance` is `parity` or `equal bytes`."""

    balance: str
    vocab_size: int
    mean_tokens_per_word: float
    cost: Cost


@dataclass(frozen=True)
class Parity:
    """Outcome of a search; the weights of the languages searched keep the sum of weight × bytes."""

    tuning: Tuning
    reached: bool
    ratio: float
    weights: dict[str, float]
    rounds: list[Cost]
    points: list[Point]


def search(
    config: TokenizerConfig, counts: Counts, inventory: Inventory, reporter: Reporter
) -> tuple[Parity, Vocabulary]:
    """Search the weights of all languages that `tokenizer.weights` does not name, beginning at equal bytes; the outcome
    and the vocabulary trained at it.

    Says so where the tolerance was not reached; the best weights seen are taken then. Raises ConfigError with fewer
    than two languages to search, InputError for tuning text without one of them.
    """
    searched = [language for language in counts.languages if language not in config.weights]
    if len(searched) < 2:
        raise ConfigError(
            f"tokenizer.parity.mode = search needs two languages to balance; the corpus has "
            f"{', '.join(counts.languages)} and tokenizer.weights fixes "
            f"{', '.join(config.weights) or 'none'}. Set tokenizer.parity.mode=off."
        )
    tuning, texts = read_tuning(config.parity.tuning, searched)
    logs, gains = dict.fromkeys(searched, 0.0), dict.fromkeys(searched, FIRST_GAIN)
    before = dict.fromkeys(searched, 0.0)
    rounds: list[Cost] = []
    with reporter.task("parity", ROUNDS, "weightings") as task:
        while len(rounds) < ROUNDS:
            weights = _weights(config, counts, logs)
            vocabulary = train(config, inventory, weights)
            cost = measure(vocabulary(config.vocab_size), texts, weights)
            if not rounds:
                equal = vocabulary
            if cost.ratio < min((one.ratio for one in rounds), default=math.inf):
                best, chosen = cost, vocabulary
            rounds.append(cost)
            task.advance(note=f"dearest / cheapest {cost.ratio:.3f}")
            excess = _excess(cost.tokens)
            gains = {name: _gain(gains[name], before[name], excess[name]) for name in searched}
            moved = {name: _moved(logs[name], gains[name] * excess[name]) for name in searched}
            if cost.ratio <= 1 + TOLERANCE / 2 or moved == logs:
                break
            logs, before = moved, excess
    points = [
        *_points("equal bytes", config, texts, rounds[0].weights, equal, reporter),
        *_points("parity", config, texts, best.weights, chosen, reporter),
    ]
    parity = Parity(tuning, best.ratio <= 1 + TOLERANCE, best.ratio, best.weights, rounds, points)
    _say(parity, reporter)
    return parity, chosen


def measure(tokenizer: Tokenizer, texts: Mapping[str, list[str]], weights: Mapping[str, float]) -> Cost:
    """Tokens of parallel texts per language."""
    tokens = {language: _tokens(tokenizer, rows) for language, rows in texts.items()}
    words = {language: sum(len(row.split()) for row in rows) for language, rows in texts.items()}
    per_word = {language: tokens[language] / words[language] for language in texts}
    return Cost(dict(weights), tokens, per_word, max(tokens.values()) / min(tokens.values()))


def _tokens(tokenizer: Tokenizer, texts: list[str]) -> int:
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False))


def _weights(config: TokenizerConfig, counts: Counts, logs: Mapping[str, float]) -> dict[str, float]:
    """Weights whose shares of bytes are proportional to exp(log), and which keep the sum of the bytes."""
    read = {language: counts.languages[language].read_bytes for language in logs}
    scale = sum(read.values()) / sum(map(math.exp, logs.values()))
    searched = {language: scale * math.exp(logs[language]) / read[language] for language in logs}
    return {language: searched.get(language) or config.weights[language] for language in counts.languages}


def _excess(tokens: Mapping[str, int]) -> dict[str, float]:
    """Log of each language's tokens over their geometric mean."""
    logs = {language: math.log(count) for language, count in tokens.items()}
    mean = sum(logs.values()) / len(logs)
    return {language: log - mean for language, log in logs.items()}


def _gain(gain: float, before: float, now: float) -> float:
    if before * now < 0:
        return gain / 2
    return gain * 1.5 if abs(now) > abs(before) / 2 > 0 else gain


def _moved(log: float, step: float) -> float:
    step = max(-LARGEST_STEP, min(LARGEST_STEP, step))
    return max(-LARGEST_LOG, min(LARGEST_LOG, log + step))


def _points(
    balance: str,
    config: TokenizerConfig,
    texts: Mapping[str, list[str]],
    weights: Mapping[str, float],
    vocabulary: Vocabulary,
    reporter: Reporter,
) -> list[Point]:
    points = []
    for size in (config.vocab_size // divisor for divisor in POINTS):
        try:
            check_size(size, special_tokens(config.spare_tokens, config.special_tokens))
            cost = measure(vocabulary(size), texts, weights)
        except EurolmError as error:
            reporter.warn(f"no Pareto point at {size:,} entries ({balance}): {error}")
            continue
        points.append(Point(balance, size, sum(cost.tokens_per_word.values()) / len(texts), cost))
    return points


def _say(parity: Parity, reporter: Reporter) -> None:
    shares = [parity.weights[language] / weight for language, weight in parity.rounds[0].weights.items()]
    weights = ", ".join(f"{language} {weight:.4g}" for language, weight in parity.weights.items())
    reporter.say(
        f"  parity: dearest / cheapest language {parity.rounds[0].ratio:.3f} at equal bytes, {parity.ratio:.3f} at "
        f"weights {weights}; {parity.tuning.rows:,} rows of {parity.tuning.name}"
    )
    if parity.tuning.left_out:
        reporter.warn(f"{parity.tuning.left_out:,} rows of the tuning text lack a language and were left out.")
    if not parity.reached:
        reporter.warn(
            f"no weights were found at which the dearest language costs less than {1 + TOLERANCE:.2f} times the "
            f"cheapest; {parity.ratio:.3f} is the least of {len(parity.rounds)} weightings, and was taken."
        )
    if max(shares) > EXTREME * min(shares):
        reporter.warn(
            f"these weights are more than {EXTREME} times off equal bytes: the tuning text is probably of a register "
            "that the corpus has in some languages only. Add such text, or name other text in tokenizer.parity.tuning."
        )
