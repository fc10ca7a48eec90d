"""Encoding of one corpus shard into `NNNNN.bin`, `.documents.parquet` and `.idx`, written in that order.

The index comes last: a shard with an index is whole. Each document is its tokens and one EOD. Text that spells a
special token is encoded as the ordinary text it is; an EOD id inside a document is refused, because it would end the
document there for every reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eurolm.artifacts.atomic import replacing
from eurolm.errors import InputError
from eurolm.tokenizer.load import LoadedTokenizer, load
from eurolm.tokens.shards import ShardReader, type_for, write_index

BATCH_DOCUMENTS = 1024
BATCH_BYTES = 8_000_000
"""Text encoded at once: bounds memory where documents are long."""

DOCUMENTS = pa.schema([("id", pa.string()), ("tokens", pa.int32()), ("language", pa.string()), ("bytes", pa.int64())])
"""Beside each shard, one row per document in shard order; `tokens` counts the EOD."""


@dataclass(frozen=True)
class EncodeJob:
    """One unit of the stage. Plain paths, so that it travels to a worker process."""

    documents: Path
    """Corpus shard."""
    stem: Path
    """Output without suffix."""
    tokenizer: Path


def documents_path(stem: Path) -> Path:
    """The document table beside a shard."""
    return stem.with_name(stem.name + ".documents.parquet")


def encode_shard(job: EncodeJob) -> None:
    """Encode a corpus shard unless it is there already. A corpus shard without documents gives no files.

    Raises InputError for an id beyond the shard type or an EOD id inside a document.
    """
    index = job.stem.with_name(job.stem.name + ".idx")
    if index.is_file():
        with ShardReader(job.stem):
            return
    with pq.ParquetFile(job.documents) as corpus:
        if corpus.metadata.num_rows == 0:
            return
        tokenizer = load(job.tokenizer)
        dtype = type_for(tokenizer.vocab_size)
        batches = corpus.iter_batches(BATCH_DOCUMENTS, columns=["id", "text", "language"], use_threads=False)
        with replacing(job.stem.with_name(job.stem.name + ".bin")) as partial, partial.open("wb") as stream:
            table = pa.concat_tables([_encode_batch(batch, tokenizer, dtype, stream, job) for batch in batches])
    with replacing(documents_path(job.stem)) as partial:
        pq.write_table(table, partial, compression="zstd", row_group_size=1 << 17, use_dictionary=["language"])
    write_index(index, table["tokens"].to_numpy().astype(np.int32), dtype)


def _encode_batch(
    batch: pa.RecordBatch,
    tokenizer: LoadedTokenizer,
    dtype: np.dtype[np.integer[Any]],
    stream: BinaryIO,
    job: EncodeJob,
) -> pa.Table:
    sizes = pc.binary_length(batch["text"]).to_numpy(zero_copy_only=False).astype(np.int64)
    cuts = (np.flatnonzero(np.diff(np.cumsum(sizes) // BATCH_BYTES)) + 1).tolist()
    lengths: list[int] = []
    for first, last in zip([0, *cuts], [*cuts, len(sizes)], strict=True):
        encoded = tokenizer.encode_batch(batch["text"].slice(first, last - first).to_pylist())
        for ids in encoded:
            ids.append(tokenizer.eod_id)
        flat = np.fromiter(chain.from_iterable(encoded), np.int64, sum(map(len, encoded)))
        _check_ids(flat, encoded, batch["id"].slice(first), tokenizer, dtype, job)
        stream.write(flat.astype(dtype).tobytes())
        lengths.extend(map(len, encoded))
    return pa.table([batch["id"], lengths, batch["language"], sizes], schema=DOCUMENTS)


def _check_ids(
    flat: NDArray[np.int64],
    encoded: list[list[int]],
    names: pa.Array,
    tokenizer: LoadedTokenizer,
    dtype: np.dtype[np.integer[Any]],
    job: EncodeJob,
) -> None:
    if int(flat.max()) > np.iinfo(dtype).max:
        raise InputError(
            f"{job.documents}: id {int(flat.max()):,} does not fit {dtype.name} shards, the type for a vocabulary "
            f"of {tokenizer.vocab_size:,}. The tokenizer's ids have holes: export it again."
        )
    if int(np.count_nonzero(flat == tokenizer.eod_id)) != len(encoded):
        guilty = next(number for number, ids in enumerate(encoded) if ids.count(tokenizer.eod_id) > 1)
        raise InputError(
            f"{job.documents}: in document {names[guilty].as_py()} ordinary text encodes to the EOD id "
            f"{tokenizer.eod_id}, which would end the document there. Drop the document, or take a tokenizer whose "
            "EOS no text produces."
        )
