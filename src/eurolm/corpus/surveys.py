"""Measured attributes as artifacts: one per source, made when they are missing.

Another threshold measures nothing again, another source measures itself alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from eurolm import __version__
from eurolm.artifacts.hashing import sha256_json
from eurolm.artifacts.store import Recipe, building, finished, input_identity
from eurolm.config.corpus import CorpusConfig
from eurolm.corpus.measure import RECIPE, UnitTask, measure_unit, measured_fields, read_tally
from eurolm.corpus.sources.records import Tally
from eurolm.corpus.sources.units import Unit, source_files
from eurolm.machine.host import versions

LIBRARIES: tuple[str, ...] = (
    "polars", "pyarrow", "numpy", "scipy", "rensa", "py3langid", "xxhash", "orjson", "zstandard", "publicsuffixlist",
    "resiliparse", "ftfy", "fasttext-predict",
)  # fmt: skip


def recipe(config: CorpusConfig, source: int, base: Path) -> Recipe:
    """What determines the attributes of the source at place `source`."""
    inputs = [input_identity(path) for path, _ in source_files(config.sources[source], base)]
    return Recipe("measured", RECIPE, measured_fields(config, source), {}, versions(LIBRARIES), inputs)


def fingerprint(config: CorpusConfig, base: Path) -> str:
    """Of the attributes of all sources together."""
    return sha256_json([recipe(config, source, base).fingerprint for source in range(len(config.sources))])[:16]


def places(config: CorpusConfig, base: Path, measured_in: Path) -> list[Path]:
    """Where the attributes of each source lie, or will."""
    return [measured_in / recipe(config, source, base).fingerprint for source in range(len(config.sources))]


def survey(
    config: CorpusConfig,
    base: Path,
    units: Sequence[Unit],
    measured_in: Path,
    run: Callable[..., list[Any]],
) -> tuple[list[Path], list[Tally]]:
    """Files of the units' attributes and their tallies, in the order of the units. What is missing is measured in one
    pass over all sources, and sealed when it ends well."""
    finals = places(config, base, measured_in)
    with ExitStack() as stack:
        missing = []
        for source, place in enumerate(finals):
            if finished(place) is not None:
                continue
            partial = stack.enter_context(building(place, recipe(config, source, base), __version__))
            if partial is not None:
                own = [unit for unit in units if unit.source == source]
                missing += [UnitTask(unit, config, attributes(partial, unit)) for unit in own]
        if missing:
            run(measure_unit, missing, "measure")
    files = [attributes(finals[unit.source], unit) for unit in units]
    return files, [read_tally(path) for path in files]


def attributes(place: Path, unit: Unit) -> Path:
    """The unit's file in the measured artifact of its source."""
    return place / f"{unit.number:05d}.parquet"
