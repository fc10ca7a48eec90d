"""Pass one: what every document of a unit is like. No threshold is applied here.

The result is one Parquet file per unit, a row per document in file order: language and score, the figures of the
quality rules, the hash of the normalised text, the MinHash signature. The tally travels in its metadata.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from eurolm.artifacts.atomic import replacing
from eurolm.config.corpus import CorpusConfig
from eurolm.corpus import language, rules
from eurolm.corpus.duplicates import Ints
from eurolm.corpus.heldout import heldout_mask
from eurolm.corpus.readers import Invalid
from eurolm.corpus.records import Tally, unit_documents
from eurolm.corpus.shingles import shingle, signatures
from eurolm.corpus.units import Unit

TALLY = b"eurolm.tally"
HASH_BYTES = 16


@dataclass(frozen=True)
class UnitTask:
    """A unit and what a worker needs to work on it."""

    unit: Unit
    config: CorpusConfig
    out: Path


def measure_unit(task: UnitTask) -> Tally:
    """Write the unit's attributes to `task.out`, or read the tally of a finished one."""
    if task.out.exists():
        return read_tally(task.out)
    tally = Tally()
    tables = [_measured(frame, task.config) for frame in unit_documents(task.unit, task.config, tally)]
    table = pa.concat_tables(tables).replace_schema_metadata({TALLY: orjson.dumps(asdict(tally))})
    with replacing(task.out) as partial:
        pq.write_table(table, partial, compression="zstd")
    return tally


def read_tally(path: Path) -> Tally:
    """The tally of a measured unit."""
    value = orjson.loads(pq.read_schema(path).metadata[TALLY])
    return Tally(value["records"], value["outside_sample"], Invalid(**value["invalid"]))


def read_attributes(path: Path) -> pl.DataFrame:
    """Attributes of a measured unit without the signatures."""
    names = [name for name in pq.read_schema(path).names if name != "signature"]
    return pl.DataFrame(pl.from_arrow(pq.read_table(path, columns=names)))


def read_signatures(path: Path, rows: Ints) -> NDArray[np.uint32]:
    """Signatures [rows, hashes] (uint32) of the given rows of a measured unit."""
    column = pq.read_table(path, columns=["signature"]).column(0).combine_chunks()
    width = column.type.byte_width
    start = column.offset * width
    flat = np.frombuffer(column.buffers()[1], np.uint8)[start : start + len(column) * width]
    return flat.view("<u4").reshape(len(column), width // 4)[rows]


def text_hash(text: str) -> bytes:
    """xxh3-128 of the lower-cased text with white space collapsed: what exact duplicates share."""
    return xxhash.xxh3_128_digest(" ".join(text.lower().split()).encode())


def _measured(frame: pl.DataFrame, config: CorpusConfig) -> pa.Table:
    detected, score = language.detect(frame["text"].to_list())
    told = frame.with_columns(detected, score, heldout_mask(frame, config.heldout))
    figures = rules.measure(told, config.languages)
    sizes = figures.with_columns(bytes=pl.col("text").str.len_bytes(), characters=pl.col("text").str.len_chars())
    kept = sizes.select("id", "heldout_group", "language", "score", "bytes", "characters", *rules.FIGURES)
    hashes = pa.array([text_hash(text) for text in frame["text"]], pa.binary(HASH_BYTES))
    return kept.to_arrow().append_column("text_hash", hashes).append_column("signature", _signatures(told, config))


def _signatures(told: pl.DataFrame, config: CorpusConfig) -> pa.Array:
    """Signatures of documents in configured languages; zeros for the others, which nothing compares."""
    settings = config.duplicates
    hashes = settings.bands * settings.rows
    wanted = told["language"].is_in(list(config.languages)).fill_null(False)
    result = np.zeros((len(told), hashes), "<u4")
    shingles = shingle(told.filter(wanted)["text"], settings.ngram_words)
    result[wanted.to_numpy()] = signatures(shingles, hashes, settings.seed)
    buffer = pa.py_buffer(result.tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(4 * hashes), len(told), [None, buffer])
