"""Mixtures over the small corpus, built in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eurolm.config.tokens import MixtureConfig
from eurolm.mixture.mixture import Mixture
from eurolm.tokens.packing import folder, read_packs


def opened(tokens: Path, packs: Path, *phases: dict[str, Any], packing: str = "bestfit", seed: int = 1) -> Mixture:
    filled = [{"row_tokens": 64, "batch_rows": 8, "max_epochs": 1e9, "tokens": 64 * 8, **phase} for phase in phases]
    config = MixtureConfig.model_validate({"phases": filled, "packing": packing, "seed": seed})
    return Mixture.open(config, tokens, packs / packing)


def rows_of(packs: Path, row_tokens: int, packing: str = "bestfit") -> dict[str, int]:
    """Rows of each source."""
    index = read_packs(packs / packing)[0][folder(row_tokens, packing)]
    return {source: sum(shard.rows for shard in shards) for source, shards in index.items()}
