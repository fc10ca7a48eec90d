"""Megatron's indexed dataset, MMIDIDX version 1: one `.bin` of token ids and one `.idx` that says where they are.

`.idx` = magic, version <Q, type code <B, sequence count <Q, length of the document table <Q, then int32 sequence
lengths, int64 byte pointers, int64 document table (document d is sequences table[d] … table[d + 1] - 1). The ids of
all sequences lie one after another in `.bin`.

Everything is read with `pread`: a plain memory map of a file on Lustre faults page by page and dies with SIGBUS when
the file shrinks.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from eurolm.artifacts.atomic import write_bytes
from eurolm.errors import InputError

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
HEADER = struct.Struct("<9sQBQQ")
TYPES: dict[int, str] = {1: "<u1", 2: "<i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}
"""Type codes of Megatron-LM and GPT-NeoX that hold token ids (6 and 7 are floats there)."""

UINT16_VOCABULARY = 65_500
"""Greatest vocabulary stored as uint16, as Megatron-LM decides it."""


def type_for(vocab_size: int) -> np.dtype[np.integer[Any]]:
    """uint16 for small vocabularies, else int32 (Megatron has no code for uint32)."""
    return np.dtype("<u2" if vocab_size <= UINT16_VOCABULARY else "<i4")


def write_index(path: Path, lengths: NDArray[np.int32], dtype: DTypeLike) -> None:
    """Write the `.idx` of a shard whose documents are one sequence each, atomically.

    `lengths`: int32 [documents], tokens of each document with its EOD.
    """
    kind = np.dtype(dtype)
    code = next(code for code, name in TYPES.items() if np.dtype(name) == kind)
    count = len(lengths)
    ends = np.cumsum(lengths, dtype=np.int64) * kind.itemsize
    pointers = np.zeros(count, np.int64)
    pointers[1:] = ends[:-1]
    header = HEADER.pack(MAGIC, VERSION, code, count, count + 1)
    documents = np.arange(count + 1, dtype="<i8")
    write_bytes(path, header + lengths.astype("<i4").tobytes() + pointers.astype("<i8").tobytes() + documents.tobytes())


class ShardReader:
    """One `.bin` + `.idx`, verified to be whole when opened; document d has `lengths[d]` tokens from `starts[d]`."""

    def __init__(self, stem: Path) -> None:
        """Open `stem`.bin and .idx. Raises InputError when one is missing, of another format or of a wrong size."""
        self.bin, index = stem.with_name(stem.name + ".bin"), stem.with_name(stem.name + ".idx")
        for path in (self.bin, index):
            if not path.is_file():
                raise InputError(f"{path} is missing: a shard is a .bin and a .idx of the same name.")
        self.dtype, self.starts, self.lengths = _read_index(index)
        self.tokens = int(self.lengths.sum(dtype=np.int64))
        expected, size = self.tokens * self.dtype.itemsize, self.bin.stat().st_size
        if size != expected:
            raise InputError(
                f"{self.bin} has {size:,} bytes, but its index describes {self.tokens:,} tokens = {expected:,} bytes. "
                "It was cut short or belongs to another .idx: copy or build it again."
            )
        self._file = self.bin.open("rb", buffering=0)

    def __len__(self) -> int:
        """Number of documents."""
        return len(self.lengths)

    def read(self, start: int, count: int) -> NDArray[np.generic]:
        """`count` ids from token position `start`, in the shard's own type."""
        wanted = count * self.dtype.itemsize
        data = os.pread(self._file.fileno(), wanted, start * self.dtype.itemsize)
        if len(data) != wanted:
            raise InputError(f"{self.bin} ended after {len(data):,} of {wanted:,} bytes: it shrank while being read.")
        return np.frombuffer(data, self.dtype)

    def document(self, number: int) -> NDArray[np.generic]:
        """Ids of one document, its EOD included."""
        return self.read(int(self.starts[number]), int(self.lengths[number]))

    def __enter__(self) -> ShardReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


def read_type(index: Path) -> np.dtype[np.generic]:
    """Type of the ids of a shard, from its `.idx`. Raises InputError when that is no readable Megatron index."""
    try:
        with index.open("rb") as stream:
            return np.dtype(TYPES[_read_header(index, stream)[0]])
    except OSError as error:
        raise InputError(f"{index} cannot be read: {error.strerror}.") from None


def _read_header(path: Path, stream: BinaryIO) -> tuple[int, int, int]:
    """Type code, sequence count, length of the document table."""
    head = stream.read(HEADER.size)
    if len(head) < HEADER.size or not head.startswith(MAGIC):
        raise InputError(f"{path} is not a Megatron index: it does not start with {MAGIC!r}.")
    _, version, code, sequences, table = HEADER.unpack(head)
    if version != VERSION or code not in TYPES:
        raise InputError(
            f"{path} has version {version} and type code {code}; readable are version {VERSION} and codes "
            f"{sorted(TYPES)} (Megatron-LM's integer types). Convert it with the tool that wrote it."
        )
    return code, sequences, table


def _read_index(path: Path) -> tuple[np.dtype[np.generic], NDArray[np.int64], NDArray[np.int64]]:
    """Type, start (in tokens) and length (in tokens) of each document."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        code, sequences, table = _read_header(path, stream)
        expected = HEADER.size + 12 * sequences + 8 * table
        if size != expected:
            raise InputError(
                f"{path} has {size:,} bytes, but {sequences:,} sequences in {max(table - 1, 0):,} documents "
                f"take {expected:,}. It was cut short: copy or build it again."
            )
        lengths = np.fromfile(stream, "<i4", sequences).astype(np.int64)
        pointers = np.fromfile(stream, "<i8", sequences)
        documents = np.fromfile(stream, "<i8", table)
    dtype = np.dtype(TYPES[code])
    _check_layout(path, dtype, lengths, pointers, documents)
    bounds = np.concatenate([[0], np.cumsum(lengths)])[documents]
    return dtype, bounds[:-1], np.diff(bounds)


def _check_layout(
    path: Path,
    dtype: np.dtype[np.generic],
    lengths: NDArray[np.int64],
    pointers: NDArray[np.int64],
    documents: NDArray[np.int64],
) -> None:
    """Raise InputError unless sequences are contiguous and the document table covers all of them in order."""
    ends = np.cumsum(lengths) * dtype.itemsize
    contiguous = len(lengths) == 0 or (
        pointers[0] == 0 and np.array_equal(pointers[1:], ends[:-1]) and int(lengths.min()) >= 0
    )
    covered = (
        len(documents) >= 1
        and documents[0] == 0
        and documents[-1] == len(lengths)
        and bool((np.diff(documents) >= 0).all())
    )
    if not contiguous or not covered:
        raise InputError(
            f"{path}: its {'pointers do not follow its lengths' if not contiguous else 'document table is broken'}. "
            "The file is damaged, or its type code is not Megatron-LM's; build it again."
        )
