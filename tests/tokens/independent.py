"""Megatron's indexed dataset read and written without eurolm, from the format's description alone."""

from __future__ import annotations

import struct
from array import array
from itertools import pairwise
from pathlib import Path

ARRAY_CODE = {4: "i", 8: "H"}


def read_documents(stem: Path) -> list[list[int]]:
    index = stem.with_name(stem.name + ".idx").read_bytes()
    data = stem.with_name(stem.name + ".bin").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    assert struct.unpack_from("<Q", index, 9) == (1,)
    code, sequences, table = struct.unpack_from("<BQQ", index, 17)
    assert len(index) == 34 + 4 * sequences + 8 * sequences + 8 * table
    lengths = struct.unpack_from(f"<{sequences}i", index, 34)
    pointers = struct.unpack_from(f"<{sequences}q", index, 34 + 4 * sequences)
    documents = struct.unpack_from(f"<{table}q", index, 34 + 12 * sequences)
    found = []
    for first, last in pairwise(documents):
        ids: list[int] = []
        for sequence in range(first, last):
            part = array(ARRAY_CODE[code])
            part.frombytes(data[pointers[sequence] : pointers[sequence] + lengths[sequence] * part.itemsize])
            ids.extend(part)
        found.append(ids)
    return found


def write_documents(stem: Path, documents: list[list[list[int]]], code: int) -> None:
    """Each document is a list of sequences."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    sequences = [sequence for document in documents for sequence in document]
    size = array(ARRAY_CODE[code]).itemsize
    pointers, table = [0], [0]
    for sequence in sequences:
        pointers.append(pointers[-1] + len(sequence) * size)
    for document in documents:
        table.append(table[-1] + len(document))
    with stem.with_name(stem.name + ".bin").open("wb") as stream:
        for sequence in sequences:
            array(ARRAY_CODE[code], sequence).tofile(stream)
    header = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, code, len(sequences), len(table))
    body = struct.pack(f"<{len(sequences)}i", *map(len, sequences))
    body += struct.pack(f"<{len(sequences)}q", *pointers[:-1]) + struct.pack(f"<{len(table)}q", *table)
    stem.with_name(stem.name + ".idx").write_bytes(header + body)
