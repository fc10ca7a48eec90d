"""Encoding of one corpus shard into `NNNNN.bin`, `.documents.parquet` and `.idx`, written in that order.

The index comes last: a shard with an index is whole. Each document is its tokens and one EOD. Text that spells a
special token is encoded as the ordinary text it is; an EOD id inside a document is refused, because it would end the
document there for every reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eurolm.artifacts.atomic import replacing
from eurolm.corpus.documents import batches
from eurolm.corpus.forget import loaded as forgotten
from eurolm.errors import InputError
from eurolm.tokenizer.load import LoadedTokenizer
from eurolm.tokens.engine import Name, encoder, opened
from eurolm.tokens.shards import ShardReader, type_for, write_index

BATCH_BYTES = 8_000_000
"""Text encoded at once: bounds memory where documents are long."""

DOCUMENTS = pa.schema([("id", pa.string()), ("tokens", pa.int32()), ("language", pa.string()), ("bytes", pa.int64())])
"""Beside each shard, one row per document in shard order; `tokens` counts the EOD."""


@dataclass(frozen=True)
class EncodeJob:
    """One unit of the stage. Plain values, so that it travels to a worker process."""

    documents: Path
    """Corpus shard."""
    stem: Path
    """Output without suffix."""
    tokenizer: Path
    engine: Name = "tokenizers"
    forget: tuple[Path, ...] = ()
    """Lists of documents to leave out."""


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
    found = batches(job.documents, ("id", "text", "language"), forgotten(job.forget))
    texts = (batch for batch in found if batch.num_rows)
    first = next(texts, None)
    if first is None:
        return
    with replacing(job.stem.with_name(job.stem.name + ".bin")) as partial, partial.open("wb") as stream:
        table = pa.concat_tables([_encode_batch(batch, stream, job) for batch in chain([first], texts)])
    with replacing(documents_path(job.stem)) as partial:
        pq.write_table(table, partial, compression="zstd", row_group_size=1 << 17, use_dictionary=["language"])
    write_index(index, table["tokens"].to_numpy().astype(np.int32), type_for(opened(job.tokenizer).vocab_size))


def _encode_batch(batch: pa.RecordBatch, stream: BinaryIO, job: EncodeJob) -> pa.Table:
    """Append the ids of a batch to the `.bin`; returns its part of the document table."""
    loaded = opened(job.tokenizer)
    encode = encoder(loaded, job.engine)
    sizes = pc.binary_length(batch["text"]).to_numpy(zero_copy_only=False).astype(np.int64)
    cuts = (np.flatnonzero(np.diff(np.cumsum(sizes) // BATCH_BYTES)) + 1).tolist()
    tokens: list[NDArray[np.int64]] = []
    for first, last in zip([0, *cuts], [*cuts, len(sizes)], strict=True):
        ids, lengths = encode(batch["text"].slice(first, last - first).to_pylist())
        ends = np.cumsum(lengths)
        _check_ids(ids, ends, batch["id"].slice(first), loaded, job)
        np.insert(ids.astype(type_for(loaded.vocab_size)), ends, loaded.eod_id).tofile(stream)
        tokens.append(lengths + 1)
    return pa.table([batch["id"], np.concatenate(tokens), batch["language"], sizes], schema=DOCUMENTS)


def _check_ids(
    ids: NDArray[np.uint32], ends: NDArray[np.int64], names: pa.Array, loaded: LoadedTokenizer, job: EncodeJob
) -> None:
    """`ends`: where each document's ids end in `ids`."""
    dtype, highest = type_for(loaded.vocab_size), int(ids.max(initial=0))
    if highest > np.iinfo(dtype).max:
        raise InputError(
            f"{job.documents}: id {highest:,} does not fit {dtype.name} shards, the type for a vocabulary "
            f"of {loaded.vocab_size:,}. The tokenizer's ids have holes: export it again."
        )
    places = np.flatnonzero(ids == loaded.eod_id)
    if len(places):
        guilty = int(np.searchsorted(ends, places[0], side="right"))
        raise InputError(
            f"{job.documents}: in document {names[guilty].as_py()} ordinary text encodes to the EOD id "
            f"{loaded.eod_id}, which would end the document there. Drop the document, or take a tokenizer whose "
            "EOS no text produces."
        )
