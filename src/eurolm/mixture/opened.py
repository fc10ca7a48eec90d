"""Open files of the shards being read: a bounded number of them, opened when first needed.

Shards of a large run outnumber the files a process may hold; the ones used longest ago are let go.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from eurolm.errors import InputError
from eurolm.tokens.pack_index import PackIndex
from eurolm.tokens.shards import read_type

Value = TypeVar("Value")
OPEN_SHARDS = 200
"""Four files each: below the usual limit of 1,024."""


class Recent(Generic[Value]):
    """Values made on demand, the most recently used `limit` of them kept. A dropped one closes with its last user."""

    def __init__(self, make: Callable[..., Value], limit: int) -> None:
        self._make, self._limit = make, limit
        self._kept: OrderedDict[tuple[object, ...], Value] = OrderedDict()

    def __call__(self, *key: object) -> Value:
        value = self._kept.get(key)
        if value is None:
            value = self._make(*key)
            self._kept[key] = value
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return value


@dataclass(frozen=True)
class OpenShard:
    """A shard and its index at one row length, held open for `pread` as long as somebody holds this record."""

    path: Path
    """The `.bin`."""
    file: FileIO
    dtype: np.dtype[np.generic]
    index: PackIndex


def open_shard(stem: Path, index_stem: Path, tokens: int) -> OpenShard:
    """Open a shard whose pack index was built from `tokens` tokens.

    Raises InputError when a file is missing or damaged, or the `.bin` has another size than the index was built from.
    """
    path = stem.with_name(stem.name + ".bin")
    dtype = read_type(stem.with_name(stem.name + ".idx"))
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    size, expected = path.stat().st_size, tokens * dtype.itemsize
    if size != expected:
        raise InputError(
            f"{path} has {size:,} bytes, but its pack index was built from {tokens:,} tokens = {expected:,} bytes. "
            "The shard changed: put it back, or run the tokens stage again under a new name."
        )
    return OpenShard(path, file, dtype, PackIndex(index_stem))
