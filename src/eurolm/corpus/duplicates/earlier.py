"""Corpora that were finished before: their documents win over everything new, and are not read again.

A finished corpus carries `index/<source>.parquet`: id, text hash, band keys and place of every document it kept. New
documents are compared with that; only candidates for a near duplicate have their text read, for the exact comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from eurolm.artifacts.manifest import MANIFEST, read_manifest
from eurolm.config.corpus import DuplicatesConfig
from eurolm.corpus.text.words import Ints
from eurolm.errors import ConfigError, InputError

MUST_AGREE = ("bands", "rows", "ngram_words", "seed")


@dataclass(frozen=True)
class EarlierSource:
    """One source of a finished corpus."""

    corpus: Path
    name: str

    @property
    def index(self) -> Path:
        """A row per kept document: id, hashes, and where it is (`file`, relative to the corpus, and `row`)."""
        return self.corpus / "index" / f"{self.name}.parquet"


def earlier_sources(corpora: Sequence[Path], settings: DuplicatesConfig) -> list[EarlierSource]:
    """Sources of the corpora, in order. Raises InputError for what is no finished corpus, ConfigError for one whose
    signatures cannot be compared with these settings."""
    found: list[EarlierSource] = []
    for corpus in corpora:
        indexes = sorted((corpus / "index").glob("*.parquet"))
        if not indexes or not (corpus / MANIFEST).is_file():
            raise InputError(
                f"corpus.duplicates.earlier names {corpus}, which is not a finished corpus with an index/ directory. "
                "Name the corpus directory of a finished run, such as runs/NAME/corpus."
            )
        _check(corpus, read_manifest(corpus).config["duplicates"], settings)
        found.extend(EarlierSource(corpus, index.stem) for index in indexes)
    return found


def earlier_texts(source: EarlierSource, rows: Ints) -> Iterator[pl.Series]:
    """Texts of the given rows (ascending) of the source's index, one file at a time."""
    places = pl.read_parquet(source.index, columns=["file", "row"])[rows]
    for file, wanted in groupby(places.iter_rows(), key=lambda place: place[0]):
        texts = pl.Series("text", pq.read_table(source.corpus / file, columns=["text"]).column(0), dtype=pl.String)
        yield texts.gather([row for _, row in wanted])


def _check(corpus: Path, theirs: dict[str, Any], settings: DuplicatesConfig) -> None:
    ours = settings.output_fields()
    for name in MUST_AGREE:
        if theirs[name] != ours[name]:
            raise ConfigError(
                f"corpus.duplicates.{name} = {ours[name]} differs from {theirs[name]} in the earlier corpus {corpus}: "
                "their signatures cannot be compared. Set the same value."
            )
