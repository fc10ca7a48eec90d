"""Which documents a tokenizer is trained on: a weighted, size-exact and deterministic selection of the corpus.

A language's weight multiplies its pre-token counts. Counts are scaled by reading less, not by repeating: the language
with the greatest weight is read whole, another with the share weight / greatest weight of its bytes, further cut so
that no language exceeds `max_bytes_per_language`. Documents are taken evenly along the corpus by error diffusion: one
is taken whenever the bytes taken so far lag behind share × bytes seen, so the share is met to within one document.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eurolm.corpus.documents import shards
from eurolm.errors import ConfigError, InputError

BATCH_DOCUMENTS = 512
UNKNOWN = "und"
"""BCP-47 code of text whose language nobody stated."""


@dataclass(frozen=True)
class LanguageText:
    """How much text of one language there is and which share of it is read."""

    weight: float
    documents: int
    text_bytes: int
    share: float


def survey(corpus: Path, weights: Mapping[str, float], max_bytes: int) -> dict[str, LanguageText]:
    """Text per language and the share of it to read.

    Raises ConfigError for a weight of a language the corpus does not have or that is not positive, InputError for a
    corpus without text.
    """
    found: dict[str, list[int]] = {}
    for path in shards(corpus):
        for batch in _batches(path):
            sizes = pc.binary_length(batch["text"])
            for language, size in zip(_languages(batch), sizes.to_pylist(), strict=True):
                totals = found.setdefault(language, [0, 0])
                totals[0] += 1
                totals[1] += size
    if not any(size for _, size in found.values()):
        raise InputError(f"{corpus} has no text left to train a tokenizer on. Loosen the corpus rules or add sources.")
    _check_weights(weights, found)
    full = {language: weights.get(language, 1.0) for language in sorted(found)}
    greatest = max(full.values())
    return {
        language: LanguageText(
            weight,
            documents=found[language][0],
            text_bytes=found[language][1],
            share=min(weight / greatest, max_bytes / max(found[language][1], 1)),
        )
        for language, weight in full.items()
    }


def _check_weights(weights: Mapping[str, float], found: Mapping[str, list[int]]) -> None:
    for language, weight in weights.items():
        if language not in found:
            nearest = difflib.get_close_matches(language, found, n=1) or sorted(found)
            raise ConfigError(
                f"tokenizer.weights.{language} = {weight}: the corpus has no text in {language!r}, only in "
                f"{', '.join(sorted(found))}. Nearest: {nearest[0]}."
            )
        if not 0 < weight < float("inf"):
            raise ConfigError(
                f"tokenizer.weights.{language} = {weight}: a weight is a positive number. To leave a language out, "
                "leave its sources out of the corpus."
            )


class Selection:
    """Iterates over the selected texts in batches, and counts per language what was taken."""

    def __init__(self, corpus: Path, languages: Mapping[str, LanguageText]) -> None:
        self.corpus, self.languages = corpus, languages
        self.seen_bytes = dict.fromkeys(languages, 0)
        self.read_bytes = dict.fromkeys(languages, 0)
        self.read_documents = dict.fromkeys(languages, 0)

    def __iter__(self) -> Iterator[list[str]]:
        for path in shards(self.corpus):
            for batch in _batches(path):
                sizes = pc.binary_length(batch["text"]).to_pylist()
                languages = _languages(batch)
                taken = [self._take(*item) for item in zip(languages, sizes, strict=True)]
                texts = batch["text"].filter(pa.array(taken, pa.bool_())).to_pylist()
                if texts:
                    yield texts

    def _take(self, language: str, size: int) -> bool:
        self.seen_bytes[language] += size
        wanted = self.languages[language].share * self.seen_bytes[language]
        take = self.read_bytes[language] + size / 2 <= wanted
        if take:
            self.read_bytes[language] += size
            self.read_documents[language] += 1
        return take


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as shard:
        yield from shard.iter_batches(BATCH_DOCUMENTS, columns=["text", "language"], use_threads=False)


def _languages(batch: pa.RecordBatch) -> list[str]:
    return list(batch["language"].fill_null(UNKNOWN).to_pylist())
