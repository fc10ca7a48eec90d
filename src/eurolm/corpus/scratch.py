"""Where the stage keeps what it needs only until it is done: one place that names all scratch files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from eurolm.artifacts.atomic import PARTIAL_MARK
from eurolm.corpus.sources.units import Unit


@dataclass(frozen=True)
class Scratch:
    """Scratch files under `out/work`; each is written atomically, so one that exists is finished."""

    out: Path

    def keys(self) -> Path:
        """Directory of rows that share a key."""
        return self.out / "work" / "keys"

    def shingles(self, piece: int) -> Path:
        """Shingles of near-duplicate candidates in a piece of the measured corpus."""
        return self.out / "work" / "shingles" / f"{piece:06d}.bin"

    def verdicts(self, unit: Unit) -> Path:
        """What was decided on each of the unit's documents."""
        return self.out / "work" / "verdicts" / f"{unit.key}.parquet"

    def clusters(self) -> Path:
        """Duplicate clusters of the whole corpus, written when all verdicts are."""
        return self.out / "work" / "clusters.json"

    def unwanted(self) -> Path:
        """Directory of what must not be in training text: evaluation items, held-out text, boilerplate."""
        return self.out / "work" / "unwanted"

    def heldout(self, unit: Unit) -> Path:
        """The unit's held-out documents."""
        return self.out / "work" / "heldout" / f"{unit.key}.parquet"

    def hits(self, unit: Unit) -> Path:
        """Evaluation items found in the unit."""
        return self.out / "work" / "hits" / f"{unit.key}.parquet"

    def summary(self, unit: Unit) -> Path:
        """Counts and samples of the unit, written last."""
        return self.out / "work" / "summaries" / f"{unit.key}.json"

    def remove_partial(self) -> None:
        """Remove what a killed attempt was writing."""
        for path in self.out.rglob(f"*{PARTIAL_MARK}*"):
            path.unlink()

    def remove(self) -> None:
        """Remove all scratch files."""
        shutil.rmtree(self.out / "work", ignore_errors=True)
