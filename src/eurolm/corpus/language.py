"""Which language a document is in: py3langid over all its languages, on windows spread over the document.

Windows rather than a prefix, because titles, menus and preambles of other languages stand at the beginning. All
languages compete: a detector told only `lv` and `et` would call Latgalian Latvian.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import polars as pl
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from eurolm.errors import ConfigError

WINDOWS = 4
WINDOW_CHARACTERS = 250


@cache
def _detector() -> LanguageIdentifier:
    """The model that py3langid carries; loading takes 0.6 s, so once per process. Read-only."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def detect(texts: Sequence[str]) -> tuple[pl.Series, pl.Series]:
    """Language code (String) and its normalised probability (Float64) of each text; null without any letter."""
    answers = [_detector().classify(windows(text)) if _has_letter(text) else (None, 0.0) for text in texts]
    return (
        pl.Series("language", [language for language, _ in answers], dtype=pl.String),
        pl.Series("score", [score for _, score in answers], dtype=pl.Float64),
    )


def windows(text: str) -> str:
    """A short text itself, else evenly spread windows of it, the first and the last characters among them."""
    if len(text) <= WINDOWS * WINDOW_CHARACTERS:
        return text
    step = (len(text) - WINDOW_CHARACTERS) / (WINDOWS - 1)
    starts = [round(index * step) for index in range(WINDOWS)]
    return " ".join(text[start : start + WINDOW_CHARACTERS] for start in starts)


def check_languages(languages: Sequence[str]) -> None:
    """Raises ConfigError for a language that the detector has no label for: it would drop every document."""
    unknown = sorted(set(languages) - set(_detector().labels))
    if unknown:
        raise ConfigError(
            f"corpus.languages has {', '.join(unknown)}, which the language detector (py3langid) cannot tell. "
            "Leave it out, or bring text of that language as a finished corpus with corpus.use."
        )


def _has_letter(text: str) -> bool:
    return any(character.isalpha() for character in windows(text))
