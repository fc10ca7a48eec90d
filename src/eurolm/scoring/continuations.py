"""Log-probability of short texts as they stand, for minimal pairs: which of two sentences does the model prefer?

Each text is read as a document of its own (EOD before it). The two sides of a pair mostly begin alike, so they run in
one row and share their beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eurolm.errors import NumericsError
from eurolm.scoring.choices import Continuation, NonFiniteScore, score_continuations

if TYPE_CHECKING:
    from eurolm.tokenizer.load import LoadedTokenizer


@dataclass(frozen=True)
class TextScore:
    """`log2_probability` summed over the text's tokens, and the text's size."""

    log2_probability: float
    bytes: int
    tokens: int


def score_pairs(
    model: Any,
    tokenizer: LoadedTokenizer,
    pairs: Sequence[tuple[str, str]],
    batch_tokens: int,
    advance: Callable[[float], None] | None = None,
    workers: int = 1,
) -> list[tuple[TextScore, TextScore]]:
    """Both sides of every pair, in order. `workers` batches run at once; `advance` is called with the share of the work
    just done.

    Raises InputError for a text without tokens or longer than the model's declared context, NumericsError for scores
    that are not finite.
    """
    sides = [Continuation("", text) for pair in pairs for text in pair]
    scores: list[TextScore] = []
    for score in score_continuations(
        model, tokenizer, sides, batch_tokens=batch_tokens, advance=advance, workers=workers
    ):
        if isinstance(score, NonFiniteScore):
            raise NumericsError(
                "log-probabilities are not finite: the model's weights or activations hold inf or NaN. "
                "Score an earlier checkpoint, or a wider dtype."
            )
        scores.append(TextScore(score.log2_probability, score.bytes, score.tokens))
    return list(zip(scores[::2], scores[1::2], strict=True))
