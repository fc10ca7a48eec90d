"""Config of the corpus stage: where text comes from, which rules judge it, what is held out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from eurolm.config.fields import Language, Name, Observation, Output, Section


class FieldsConfig(Section):
    """Which field of a source record holds what. A missing field is null, `text` must exist."""

    text: Output[str] = "text"
    """Name of the field with the document's text."""
    id: Output[str] = "id"
    """Native key; the document id is the hash of source name and this (or the URL, or file and position)."""
    license: Output[str] = "license"
    """Licence of the record; falls back to the source's `license`."""
    url: Output[str] = "url"
    """Address the document came from."""
    date: Output[str] = "date"
    """Date of the document, as the source writes it."""
    group: Output[str] = "group"
    """Book, sitting or domain: documents of one group are held out together."""
    register_: Output[str] = Field(default="register", alias="register")
    """Register of the record (legal, fiction, …); falls back to the source's `register`."""


class SourceConfig(Section):
    """One source of text."""

    name: Output[Name]
    """Name of the source: directory name of its shards and key of its weight in the mixture."""
    paths: Output[list[str]] = Field(min_length=1)
    """Files or glob patterns, relative to the config file; `package:PATH` names a file carried by eurolm."""
    format: Output[Literal["auto", "jsonl", "parquet", "text"]] = "auto"
    """File format; `auto` goes by the file name (`.jsonl[.zst|.gz]`, `.parquet`, `.txt[.zst|.gz]`)."""
    text_unit: Output[Literal["document", "paragraph", "line"]] = "document"
    """For text files: one document per file, per blank-line block, or per line."""
    language: Output[Language | None] = None
    """Language the source claims; a document detected as another one is dropped. Null accepts any configured one."""
    license: Output[str | None] = None
    """Licence of records that do not carry their own."""
    register_: Output[str | None] = Field(default=None, alias="register")
    """Register of records that do not carry their own, such as legal, parliament or fiction."""
    fields: Output[FieldsConfig] = FieldsConfig()
    """Mapping of record fields."""
    verbatim: Output[bool] = False
    """Skip the quality rules (not language, nor duplicates): for short curated text such as single sentences."""


class LanguageRules(Section):
    """Quality thresholds of one language. Defaults of `configs/languages/*.yaml` cite their source."""

    min_language_score: Output[float] = Field(default=0.5, ge=0, le=1)
    """Least normalised probability of the detector (py3langid) for this language; belongs to detector × language."""
    min_words: Output[int] = 5
    """Documents with fewer words are dropped."""
    max_words: Output[int] = 2_000_000
    """Documents with more words are dropped."""
    min_average_word_length: Output[float] = 2.0
    """Least mean word length in characters (Gopher, arXiv 2112.11446, table A1)."""
    max_average_word_length: Output[float] = 13.0
    """Greatest mean word length in characters."""
    min_alphabetic_word_share: Output[float] = 0.727
    """Least share of words that hold a letter (FineWeb-2 `max_non_alpha_words_ratio`)."""
    max_symbol_word_ratio: Output[float] = 0.1
    """Greatest ratio of `#` and ellipses to words (Gopher)."""
    max_duplicate_line_share: Output[float] = 0.329
    """Greatest share of lines that repeat an earlier line (FineWeb-2 `dup_line_frac`)."""
    stopwords: Output[list[str]] = []
    """Frequent words of running text."""
    min_stopwords: Output[int] = 2
    """Documents with fewer occurrences of stopwords are dropped; 0 switches the rule off."""


class DuplicatesConfig(Section):
    """Exact duplicates by xxh3-128 of the normalised text; near ones by MinHash LSH, candidates verified."""

    bands: Output[int] = 14
    """LSH bands (FineWeb setting 14 × 8)."""
    rows: Output[int] = 8
    """Hashes per band."""
    ngram_words: Output[int] = 5
    """Words per shingle."""
    min_jaccard: Output[float] = Field(default=0.75, gt=0, le=1)
    """Candidates at or above this exact Jaccard similarity to the kept document are dropped."""
    seed: Output[int] = 1
    """Seed of the hash permutations."""


class HeldoutConfig(Section):
    """Validation text, split off by group and duplicate cluster, stable as the corpus grows."""

    share: Output[float] = Field(default=0.02, ge=0, lt=0.5)
    """Share of groups held out, by hash of the group name."""
    salt: Output[str] = "eurolm-heldout-1"
    """Salt of that hash: another salt holds out other groups."""


class CorpusConfig(Section):
    """The corpus stage: sources → normalise → language → quality → duplicates → held-out split → shards."""

    use: Output[Path | None] = None
    """Take a finished, cleaned corpus from this directory instead of building one."""
    sources: Output[list[SourceConfig]] = []
    """Sources in order of preference: of duplicates the earlier source's document is kept."""
    languages: Output[dict[Language, LanguageRules]] = {}
    """Languages to keep and their rules; `extends: languages/lv.yaml` brings the shipped ones."""
    duplicates: Output[DuplicatesConfig] = DuplicatesConfig()
    """Exact and near duplicates."""
    heldout: Output[HeldoutConfig] = HeldoutConfig()
    """Held-out split."""
    sample_share: Output[float] = Field(default=1.0, gt=0, le=1)
    """Share of documents read, by hash of their id; `eurolm run --sample 1%` sets it."""
    max_invalid_share: Output[float] = Field(default=0.001, ge=0, le=1)
    """Greatest share of invalid records (bad JSON, bad UTF-8, no text) per file before the stage stops."""
    workers: Observation[int | None] = Field(default=None, ge=1)
    """Worker processes; null takes one per core that memory allows."""
    samples_per_rule: Observation[int] = Field(default=20, ge=0)
    """Kept and dropped samples that the report shows per rule. Says nothing about the corpus bytes."""
