"""The sentences shown cut into tokens: one per language, from text the model never saw.

The first held-out sentence of handy length is taken, in path and id order: nobody chose it for looking good.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from eurolm.config.model import Config

SHORTEST, LONGEST = 40, 76
LEAST_WORDS = 6
DOCUMENTS_SEARCHED = 400
_HANDY = re.compile(r"[^\W\d_][^\W\d_,\- ]*(?:[ ,\-]+[^\W\d_]+)+[.!?]")


@dataclass(frozen=True)
class Sentence:
    """A sentence of a language."""

    language: str
    text: str


def sentences(run_dir: Path, config: Config) -> list[Sentence]:
    """What to show; empty for a run without held-out text."""
    found = []
    for language in heldout_languages(run_dir, config):
        text = _first_handy(run_dir / "corpus" / "heldout" / language)
        if text:
            found.append(Sentence(language, text))
    return found


def heldout_languages(run_dir: Path, config: Config) -> list[str]:
    """Languages with held-out text, in the order of the config."""
    there = {path.name for path in (run_dir / "corpus" / "heldout").glob("*") if path.is_dir()}
    configured = [language for language in config.corpus.languages if language in there]
    return configured + sorted(there - set(configured))


def handy(text: str) -> Iterator[str]:
    """Sentences of a text that fit a line, start with a capital and hold letters only."""
    for line in text.split("\n"):
        for sentence in re.split(r"(?<=[.!?])\s+", line.strip()):
            long_enough = SHORTEST <= len(sentence) <= LONGEST and len(sentence.split()) >= LEAST_WORDS
            accented = any(ord(letter) > 127 for letter in sentence)
            if long_enough and accented and sentence[0].isupper() and _HANDY.fullmatch(sentence):
                yield sentence


def _first_handy(folder: Path) -> str | None:
    opening = None
    for text in _texts(folder):
        for sentence in handy(text):
            return sentence
        opening = opening or " ".join(text.split())[:LONGEST] or None
    return opening


def _texts(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.parquet")):
        try:
            with pq.ParquetFile(path) as file:
                batch = next(file.iter_batches(DOCUMENTS_SEARCHED, columns=["text"], use_threads=False), None)
        except (OSError, KeyError, pa.ArrowException):
            continue
        yield from batch["text"].to_pylist() if batch is not None else []
