"""Pass one: what every document of a unit is like. No threshold is applied here.

One Parquet file per unit, a row per document in file order: language and score, the figures of the quality rules,
hashes of id and text, MinHash band keys. It is an artifact of its own, one per source, so that another threshold
measures nothing again and another source measures itself alone. Text of groups that may be held out travels along:
the other documents are compared with it when they are written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from eurolm.artifacts.atomic import replacing
from eurolm.config.corpus import CorpusConfig, DuplicatesConfig
from eurolm.corpus.boilerplate import paragraph_hashes
from eurolm.corpus.duplicates.shingles import band_keys, shingle, signatures
from eurolm.corpus.heldout import heldout_mask
from eurolm.corpus.reading import Read, read_unit
from eurolm.corpus.rules import quality
from eurolm.corpus.sources.batches import Invalid
from eurolm.corpus.sources.records import Tally
from eurolm.corpus.sources.units import Unit
from eurolm.corpus.text.language import detector
from eurolm.corpus.text.paragraphs import identify
from eurolm.corpus.text.words import UInts, words_of

RECIPE = 1
TALLY = b"eurolm.tally"
TEXT_HASH = ("text_hash_high", "text_hash_low")


@dataclass(frozen=True)
class UnitTask:
    """A unit and where its attributes go."""

    unit: Unit
    config: CorpusConfig
    out: Path


def measured_fields(config: CorpusConfig, source: int) -> dict[str, Any]:
    """What determines the attributes of a source's documents, for the fingerprint: everything but thresholds."""
    own = config.sources[source].output_fields()
    fields = config.output_fields()
    languages = {
        code: {name: rules[name] for name in ("stopwords", "short_line_characters")}
        for code, rules in fields["languages"].items()
    }
    duplicates = {name: value for name, value in fields["duplicates"].items() if name not in ("min_jaccard", "earlier")}
    return {
        "source": {name: value for name, value in own.items() if name not in ("language", "verbatim")},
        "languages": languages,
        "duplicates": duplicates,
        "detection": {name: fields["detection"][name] for name in ("detector", "model")},
        "rules": [{name: rule[name] for name in ("name", "function", "version")} for rule in fields["rules"]],
        "heldout": {name: fields["heldout"][name] for name in ("share", "salt")},
        "boilerplate": fields["boilerplate"]["min_words"] if config.boilerplate.max_documents else None,
        "personal_data": fields["personal_data"],
        "sample_share": fields["sample_share"],
    }


def measure_unit(task: UnitTask) -> Tally:
    """Write the unit's attributes to `task.out`, or read the tally of a finished one."""
    if task.out.exists():
        return read_tally(task.out)
    tally = Tally()
    frames = [_attributes(read, task.config) for read in read_unit(task.unit, task.config, tally)]
    table = pl.concat(frames).to_arrow()
    hashes = [name for name in table.column_names if name.startswith(("text_hash", "band", "narrow"))]
    packed = {name: "none" if name in hashes else "zstd" for name in table.column_names}
    with replacing(task.out) as partial:
        pq.write_table(
            table.replace_schema_metadata({TALLY: orjson.dumps(asdict(tally))}),
            partial,
            compression=packed,
            use_dictionary=["language", "license"],
            write_statistics=False,
        )
    return tally


def read_tally(path: Path) -> Tally:
    """The tally of a measured unit."""
    value = orjson.loads(pq.read_schema(path).metadata[TALLY])
    return Tally(**{**value, "invalid": Invalid(**value["invalid"])})


def text_hash(text: str) -> int:
    """xxh3-128 of the lower-cased text with white space collapsed: what exact duplicates share."""
    return xxhash.xxh3_128_intdigest(" ".join(text.lower().split()).encode(errors="surrogatepass"))


def band_columns(settings: DuplicatesConfig) -> tuple[list[str], list[str]]:
    """Names of the band keys, and of the narrower ones that find what is like held-out text."""
    hashes = settings.bands * settings.rows
    narrow = hashes // max(1, settings.rows // 2)
    return [f"band{band:02d}" for band in range(settings.bands)], [f"narrow{band:02d}" for band in range(narrow)]


def _attributes(read: Read, config: CorpusConfig) -> pl.DataFrame:
    frame = read.frame
    tongue = detector(config.detection)
    texts = frame["text"].to_list()
    told = identify(texts, tongue, frozenset(config.languages))
    words = words_of(frame["text"])
    held = heldout_mask(frame, config.heldout)
    figures = quality.measure(frame["text"], told["language"], words, config)
    digests = [text_hash(text) for text in texts]
    wanted = told["language"].is_in(list(config.languages)).fill_null(False)
    settings = config.duplicates
    signature = signatures(shingle(words, settings.ngram_words), settings.bands * settings.rows, settings.seed)
    wide, narrow = band_columns(settings)
    attributes = frame.select("id", "license", "url").with_columns(
        held.alias("heldout_group"),
        *told,
        read.repaired,
        *(count.alias(f"personal_{count.name}") for count in read.personal),
        *figures,
        *_columns(TEXT_HASH, np.array([[digest >> 64, digest & (2**64 - 1)] for digest in digests], np.uint64)),
        *_columns(wide, band_keys(signature, settings.rows)),
        *_columns(narrow, band_keys(signature, max(1, settings.rows // 2))),
        bytes=frame["text"].str.len_bytes(),
        characters=frame["text"].str.len_chars(),
        heldout_text=pl.select(pl.when(held & wanted).then(frame["text"])).to_series(),
    )
    if config.boilerplate.max_documents is None:
        return attributes
    hashes, offsets = paragraph_hashes(texts, words, config.boilerplate.min_words)
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(hashes))
    return attributes.with_columns(pl.Series("paragraphs", lists))


def _columns(names: list[str] | tuple[str, ...], values: UInts) -> list[pl.Series]:
    """One series per column of `values` [documents, names]."""
    return [pl.Series(name, values.reshape(-1, len(names))[:, place]) for place, name in enumerate(names)]
