"""Which language a text is in: a detector by the name that the config gives it.

All languages of the detector compete: one told only `lv` and `et` would call Latgalian Latvian. Documents are not
judged here but piece by piece in `paragraphs`, with the detector that this file hands out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eurolm.config.corpus import CorpusConfig, LanguageDetection
from eurolm.corpus.text import bayes, fasttext
from eurolm.errors import ConfigError

PY3LANGID = "py3langid"
SCORE_DIGITS = 6
"""Scores are rounded: what lies below differs between processors and means nothing."""


class Model(Protocol):
    """What answers a detector's questions. Its labels are BCP-47 codes."""

    @property
    def labels(self) -> frozenset[str]: ...

    def classify(self, texts: Sequence[str]) -> tuple[list[str], NDArray[np.float64]]: ...


@dataclass(frozen=True)
class Detector:
    """A model and its name, the key of the thresholds in `min_language_score`."""

    name: str
    model: Model

    @property
    def labels(self) -> frozenset[str]:
        """Languages that it can answer."""
        return self.model.labels

    def detect(self, texts: Sequence[str]) -> tuple[pl.Series, pl.Series]:
        """`language` (String) and `score` (Float64, its normalised probability) of each text; null and 0 without any
        letter. An answer does not depend on the other texts."""
        places = [place for place, text in enumerate(texts) if any(map(str.isalpha, text))]
        found, scores = self.model.classify([texts[place] for place in places])
        languages: list[str | None] = [None] * len(texts)
        for place, language in zip(places, found, strict=True):
            languages[place] = language
        score = np.zeros(len(texts))
        score[places] = scores.round(SCORE_DIGITS)
        return pl.Series("language", languages, dtype=pl.String), pl.Series("score", score)


def detector(detection: LanguageDetection) -> Detector:
    """The configured detector, loaded once per process. Raises ConfigError for a fastText model that is not there and
    MachineError where its library is missing."""
    return _detector(detection.detector, detection.model)


@cache
def _detector(name: str, model: Path | None) -> Detector:
    if name != PY3LANGID and model is not None:
        return Detector(name, fasttext.load(model))
    if name == PY3LANGID and model is None:
        return Detector(name, bayes.load())
    if model is None:
        raise ConfigError(
            f"corpus.detection.detector = {name} names a fastText model, but corpus.detection.model gives no file. "
            f"Set corpus.detection.model to its path, or the detector to {PY3LANGID}, which carries its model."
        )
    raise ConfigError(
        f"corpus.detection.model = {model} is a fastText model, but corpus.detection.detector = {PY3LANGID}. Give "
        "the model a name of its own (corpus.detection.detector: glotlid): it is the key of the thresholds."
    )


def check_languages(config: CorpusConfig) -> None:
    """Raises ConfigError for configured languages that the detector has no label for, which would lose every document,
    or that have no threshold for it."""
    found = detector(config.detection)
    unknown = sorted(set(config.languages) - found.labels)
    if unknown:
        raise ConfigError(
            f"corpus.languages has {', '.join(unknown)}, which the language detector ({found.name}) cannot tell. "
            "Leave it out, bring text of that language as a finished corpus with corpus.use, or give a fastText model "
            "that knows it in corpus.detection.model (GlotLID tells some 2,000 languages)."
        )
    missing = sorted(name for name, rules in config.languages.items() if found.name not in rules.min_language_score)
    if missing:
        raise ConfigError(
            f"corpus.languages.{missing[0]}.min_language_score has no threshold for the detector {found.name}: scores "
            f"of detectors do not compare. Add {found.name}: 0.5 or a value that you measured"
            + (f" (also for {', '.join(missing[1:])})." if missing[1:] else ".")
        )
