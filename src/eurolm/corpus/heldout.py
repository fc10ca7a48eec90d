"""Which groups are held out: a pure function of the group's name, so membership never changes as a corpus grows."""

from __future__ import annotations

import polars as pl
import xxhash

from eurolm.config.corpus import HeldoutConfig


def is_heldout(group: str, config: HeldoutConfig) -> bool:
    """True for about `share` of all names, always the same ones; a larger share holds out a superset."""
    return xxhash.xxh3_64_intdigest(f"{config.salt}\0{group}".encode()) / 2**64 < config.share


def heldout_mask(frame: pl.DataFrame, config: HeldoutConfig) -> pl.Series:
    """One Boolean per document (columns `group`, `id`): a document without group is a group of its own."""
    groups = frame.select(pl.coalesce("group", "id"))["group"]
    return pl.Series("heldout_group", [is_heldout(group, config) for group in groups], dtype=pl.Boolean)
