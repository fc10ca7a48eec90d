"""The pack index of one shard on disk: which pieces of which documents make up each row.

Three arrays per shard, `NNNNN.rows.npy`, `.pieces.npy`, `.targets.npy`. Row r consists of pieces rows[r] … rows[r+1]-1
laid one after another from position 0; what is left of the row is padding. A piece is a stretch of a *framed* document,
EOD + tokens + EOD, of which the shard stores all but the first EOD:

    framed position     0      1 … n      n + 1            piece.position = starts[d] + framed position - 1
    in the .bin       (none)   tokens     EOD              = where the piece's first id lies in the .bin; the EOD that
                                                             opens a document is read from its predecessor's end

`ends` says that the piece's last id is the document's closing EOD, whose target is masked; otherwise the target of its
last id is the next id of the same document, and the piece is the last of its row. So every token and every closing EOD
is predicted exactly once.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from eurolm.artifacts.atomic import replacing
from eurolm.errors import InputError

PIECE = np.dtype([("position", "<i8"), ("document", "<i4"), ("length", "<i4"), ("begins", "?"), ("ends", "?")])
"""`position`: token position in the `.bin`, -1 only for the EOD that opens its first document; `document`: number in
the shard; `length`: row positions taken; `begins`: opens with EOD-as-BOS; `ends`: closes with the document's EOD."""

ROWS, PIECES, TARGETS = "rows", "pieces", "targets"


def index_path(stem: Path, part: str) -> Path:
    """File of one of the three arrays."""
    return stem.with_name(f"{stem.name}.{part}.npy")


def is_written(stem: Path) -> bool:
    """True when the index is whole: `targets` is written last."""
    return index_path(stem, TARGETS).is_file()


def write_pack_index(stem: Path, rows: NDArray[np.int64], pieces: NDArray[np.void]) -> NDArray[np.int32]:
    """Write the arrays atomically; returns valid targets per row, int32 [rows]."""
    targets = valid_targets(rows, pieces)
    for part, array in ((ROWS, rows.astype("<i8")), (PIECES, pieces), (TARGETS, targets.astype("<i4"))):
        with replacing(index_path(stem, part)) as partial, partial.open("wb") as stream:
            np.save(stream, array, allow_pickle=False)
    return targets


def link_pack_index(stem: Path, out: Path) -> None:
    """Give a finished index a second name without a copy; where the file system cannot, copy it."""
    for part in (ROWS, PIECES, TARGETS):
        source, target = index_path(stem, part), index_path(out, part)
        if target.exists():
            continue
        with replacing(target) as partial:
            try:
                partial.hardlink_to(source)
            except OSError:
                shutil.copyfile(source, partial)


def read_pack_index(stem: Path) -> tuple[NDArray[np.int64], NDArray[np.void]]:
    """Row starts and pieces of a whole index."""
    return np.load(index_path(stem, ROWS)), np.load(index_path(stem, PIECES))


def valid_targets(rows: NDArray[np.int64], pieces: NDArray[np.void]) -> NDArray[np.int32]:
    """Targets per row that are not masked: every position but padding and closing EODs."""
    counted = np.concatenate([[0], np.cumsum(pieces["length"] - pieces["ends"], dtype=np.int64)])
    return np.diff(counted[rows]).astype(np.int32)


class PackIndex:
    """Reads rows of one shard's index with `pread`; holds three open files and no data."""

    def __init__(self, stem: Path) -> None:
        """Open the index. Raises InputError when a file is missing or not what it should be."""
        self.stem = stem
        self._rows = _Array(index_path(stem, ROWS), np.dtype("<i8"))
        self._pieces = _Array(index_path(stem, PIECES), PIECE)
        self._targets = _Array(index_path(stem, TARGETS), np.dtype("<i4"))

    def __len__(self) -> int:
        """Number of rows."""
        return self._targets.count

    def pieces(self, row: int) -> bytes:
        """Raw bytes of the row's pieces, to be viewed as `PIECE`: many rows are joined before they are parsed."""
        first, last = np.frombuffer(self._rows.read(row, 2), "<i8").tolist()
        return self._pieces.read(first, last - first)

    def targets(self, row: int) -> int:
        """Valid targets of a row."""
        return int.from_bytes(self._targets.read(row, 1), "little")


class _Array:
    """A one-dimensional `.npy` file read in slices."""

    def __init__(self, path: Path, dtype: np.dtype[np.generic]) -> None:
        try:
            self._file = path.open("rb", buffering=0)
            version = npy.read_magic(self._file)
            reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, found = reader(self._file)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is missing or damaged ({error}). Delete its directory and run again.") from None
        self._offset, self._path, self._item, self.count = self._file.tell(), path, dtype.itemsize, shape[0]
        size = path.stat().st_size
        if found != dtype or size != self._offset + self.count * self._item:
            raise InputError(
                f"{path} has {size:,} bytes of {found}, not {self.count:,} items of {dtype}: it is damaged. "
                "Delete its directory and run again."
            )

    def read(self, first: int, count: int) -> bytes:
        """Raw bytes of `count` items from item `first`."""
        data = os.pread(self._file.fileno(), count * self._item, self._offset + first * self._item)
        if len(data) != count * self._item:
            raise InputError(f"{self._path} ended early: it shrank while being read.")
        return data
