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
    paths: Output[list[str]] = []
    """Files or glob patterns, relative to the config file; `package:PATH` names a file carried by eurolm."""
    dataset: Output[str | None] = None
    """Hugging Face dataset instead of `paths`: a directory saved by `datasets`, or `owner/name[:config]` of the hub."""
    split: Output[str] = "train"
    """Split of the dataset."""
    revision: Output[str | None] = None
    """Commit or tag of a hub dataset."""
    format: Output[Literal["auto", "jsonl", "parquet", "text", "warc"]] = "auto"
    """File format; `auto` goes by the file name (`.jsonl[.zst|.gz]`, `.parquet`, `.txt[.zst|.gz]`, `.warc[.gz]`)."""
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
    group_by: Output[Literal["field", "domain"] | None] = None
    """What is held out together: documents whose `group` field is the same, or of one registered domain (`delfi.lv`)
    where that field is empty. Null is `domain` for web archives, else `field`, and stops at a source of many domains
    without groups, because each site would stand on both sides of the held-out split."""
    verbatim: Output[bool] = False
    """Skip the quality rules (not language, nor duplicates): for short curated text such as single sentences."""
    repair_encoding: Output[bool] = False
    """Mend text that was decoded wrongly (`Ä\x81` for `ā`) with ftfy. Clean text costs microseconds per document."""


class LanguageRules(Section):
    """Quality thresholds of one language; null switches a rule off. `configs/languages/*.yaml` cites the values."""

    min_language_score: Output[dict[str, float]] = {"py3langid": 0.5}
    """Least share of a document's text that is in this language, each piece weighted by its probability; by detector,
    because a threshold belongs to detector × language."""
    max_foreign_share: Output[float | None] = 0.5
    """Greatest share of characters in paragraphs that are surely in a language which the config does not name."""
    min_words: Output[int | None] = 5
    """Documents with fewer words are dropped."""
    max_words: Output[int | None] = 2_000_000
    """Documents with more words are dropped."""
    min_average_word_length: Output[float | None] = 2.0
    """Least mean word length in characters (Gopher, arXiv 2112.11446, table A1)."""
    max_average_word_length: Output[float | None] = 13.0
    """Greatest mean word length in characters."""
    min_alphabetic_word_share: Output[float | None] = 0.727
    """Least share of words that hold a letter (FineWeb-2 `max_non_alpha_words_ratio`)."""
    max_symbol_word_ratio: Output[float | None] = 0.1
    """Greatest ratio of `#` to words, and of ellipses to words (Gopher)."""
    max_bullet_line_share: Output[float | None] = 0.9
    """Greatest share of lines that begin with a bullet or a hyphen (Gopher)."""
    max_ellipsis_line_share: Output[float | None] = 0.3
    """Greatest share of lines that end with an ellipsis (Gopher)."""
    stopwords: Output[list[str]] = []
    """Frequent words of running text, as they are written within a sentence."""
    min_stopwords: Output[int | None] = 2
    """Documents with fewer different stopwords are dropped."""
    min_punctuated_line_share: Output[float | None] = None
    """Least share of lines that end with punctuation (FineWeb `line_punct_thr`)."""
    max_short_line_share: Output[float | None] = None
    """Greatest share of lines of at most `short_line_characters` (FineWeb `short_line_thr`; off in FineWeb-2)."""
    short_line_characters: Output[int] = 30
    """What a short line is."""
    max_duplicate_line_character_share: Output[float | None] = None
    """Greatest share of characters in lines that repeat an earlier one (FineWeb `char_duplicates_ratio`)."""
    max_newline_word_ratio: Output[float | None] = None
    """Greatest ratio of line ends to words (FineWeb `new_line_ratio`)."""
    max_duplicate_line_share: Output[float | None] = None
    """Greatest share of lines that repeat an earlier line (Gopher repetition, FineWeb-2 `dup_line_frac`)."""
    max_duplicate_line_text_share: Output[float | None] = None
    """Greatest share of the text that is such lines (Gopher repetition `dup_line_char_frac`; off in FineWeb-2)."""
    max_duplicate_paragraph_share: Output[float | None] = None
    """Greatest share of blank-line blocks that repeat an earlier one (Gopher repetition; off in FineWeb-2)."""
    max_duplicate_paragraph_character_share: Output[float | None] = None
    """Greatest share of characters in such blocks (Gopher repetition; off in FineWeb-2)."""
    max_top_ngram_share: Output[dict[int, float | None]] = {}
    """n → greatest share of characters in the most frequent n-gram of words (Gopher repetition)."""
    max_duplicate_ngram_share: Output[dict[int, float | None]] = {}
    """n → greatest share of characters in n-grams of words that occurred before (Gopher repetition)."""


class LanguageDetection(Section):
    """How languages are told apart."""

    detector: Output[Name] = "py3langid"
    """`py3langid`, or the name of the fastText model at `model` (`glotlid`), which is the key of its thresholds."""
    model: Output[Path | None] = None
    """fastText model file such as GlotLID's `model.bin`; its labels (`__label__lav_Latn`) are mapped to BCP-47."""
    foreign_paragraphs: Output[Literal["keep", "remove"]] = "keep"
    """What happens to paragraphs that are surely in a language which the config does not name."""


class CustomRule(Section):
    """A rule of your own: a function that gives one figure per document."""

    name: Output[Name]
    """Name under which it drops documents."""
    function: Output[str] = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`package.module:function`; called as `function(texts: list[str], languages: list[str]) -> list[float]`."""
    version: Output[int] = 1
    """Raise it when the function changes, so that documents are measured again."""
    min: Output[float | None] = None
    """Documents with a lower figure are dropped."""
    max: Output[float | None] = None
    """Documents with a higher figure are dropped."""


class PersonalDataConfig(Section):
    """Personal data is replaced by typed placeholders when text is read; the value itself is kept nowhere."""

    types: Output[list[Literal["email", "ip", "phone", "iban", "personal_code"]]] = [
        "email", "ip", "phone", "iban", "personal_code",
    ]  # fmt: skip
    """What is replaced; an empty list leaves text as it is. Names are out of reach."""


class LicensesConfig(Section):
    """Which licences may be trained on, by shell pattern (`CC-BY*`), case ignored; deny wins."""

    allow: Output[list[str]] = ["*"]
    """Licences that are taken; a document without licence matches only `*`."""
    deny: Output[list[str]] = []
    """Licences that are not."""


class OptOutConfig(Section):
    """Rightholders who opted out (CDSM Art. 4(3)), as lists collected beforehand: compute nodes have no network."""

    domains: Output[list[Path]] = []
    """Files of domains, one a line; a domain covers its subdomains."""
    url_prefixes: Output[list[Path]] = []
    """Files of URL prefixes, one a line."""


class ItemsFile(Section):
    """Test items of your own."""

    path: Output[Path]
    """JSONL, plain or compressed."""
    fields: Output[list[str]] = []
    """Fields that the model sees, in order; none named means every string in the record."""


class DecontaminationConfig(Section):
    """Paragraphs that repeat evaluation items are removed: 13-grams of words, 8-grams of items under 13 words, the
    whole item under 8 words."""

    tasks: Output[list[str]] = ["*"]
    """Names or shell patterns of tasks whose items are looked for."""
    files: Output[list[ItemsFile]] = []
    """Items that are not a task of eurolm."""
    max_removed_share: Output[float] = Field(default=0.2, ge=0, le=1)
    """A document that would lose a greater share of its characters is dropped whole."""


class BoilerplateConfig(Section):
    """Paragraphs that stand in many documents: cookie notices, menus, disclaimers."""

    max_documents: Output[int | None] = Field(default=None, ge=2)
    """A paragraph in more documents than this is removed from all of them; null keeps every paragraph."""
    min_words: Output[int] = Field(default=5, ge=1)
    """Shorter paragraphs are left alone."""


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
    earlier: Output[list[Path]] = []
    """Finished corpora whose documents always win: what repeats them is dropped. They are not read again."""


class HeldoutConfig(Section):
    """Validation text, split off by group and duplicate cluster, stable as the corpus grows."""

    share: Output[float] = Field(default=0.02, ge=0, lt=0.5)
    """Share of groups held out, by hash of the group name."""
    salt: Output[str] = "eurolm-heldout-1"
    """Salt of that hash: another salt holds out other groups."""
    shared_words: Output[int] = Field(default=50, ge=10)
    """A training paragraph that shares this many consecutive words with held-out text is removed."""


class CorpusConfig(Section):
    """The corpus stage: sources → normalise → language → quality → duplicates → held-out split → shards."""

    use: Output[Path | None] = None
    """Take a finished, cleaned corpus from this directory instead of building one."""
    sources: Output[list[SourceConfig]] = []
    """Sources in order of preference: of duplicates the earlier source's document is kept."""
    languages: Output[dict[Language, LanguageRules]] = {}
    """Languages to keep and their rules; `extends: languages/lv.yaml` brings the shipped ones."""
    detection: Output[LanguageDetection] = LanguageDetection()
    """Language identification."""
    rules: Output[list[CustomRule]] = []
    """Rules of your own, asked after eurolm's."""
    licenses: Output[LicensesConfig] = LicensesConfig()
    """Licences allowed and denied."""
    opt_out: Output[OptOutConfig] = OptOutConfig()
    """Domains and addresses that must not be trained on."""
    personal_data: Output[PersonalDataConfig] = PersonalDataConfig()
    """Placeholders for personal data."""
    duplicates: Output[DuplicatesConfig] = DuplicatesConfig()
    """Exact and near duplicates."""
    boilerplate: Output[BoilerplateConfig] = BoilerplateConfig()
    """Paragraphs repeated across documents."""
    decontamination: Output[DecontaminationConfig] = DecontaminationConfig()
    """Evaluation items."""
    forget: Observation[list[Path]] = []
    """Files of document ids or URLs, one a line (or JSONL with `id` or `url`): left out when a finished corpus is read,
    without rewriting it. What `eurolm corpus recheck` writes belongs here."""
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
