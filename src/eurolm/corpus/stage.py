"""The corpus stage: measure every document, decide on all of them, write the shards.

Units are spread over worker processes and finished ones are reused after a kill; nothing written depends on which
worker did what, or when. `report.json` is written last: once it exists, only scratch files remain to be removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from eurolm.artifacts.atomic import read_json, write_json
from eurolm.config.corpus import CorpusConfig
from eurolm.console import Reporter
from eurolm.corpus.checks import check_config, check_read, check_result, most_first, warnings
from eurolm.corpus.decide import decide
from eurolm.corpus.duplicates.candidates import CandidateTask, shingle_candidates
from eurolm.corpus.duplicates.earlier import EarlierSource, earlier_sources
from eurolm.corpus.duplicates.find import DEFAULT_SIZES, Search, Sizes
from eurolm.corpus.index import IndexTask, write_index
from eurolm.corpus.measured import EARLIER, Measured, Piece
from eurolm.corpus.permissions import loaded
from eurolm.corpus.scratch import Scratch
from eurolm.corpus.sources.units import PART_BYTES, Unit, plan_units, source_files
from eurolm.corpus.summary import build_report
from eurolm.corpus.surveys import LIBRARIES as LIBRARIES
from eurolm.corpus.surveys import survey
from eurolm.corpus.text.words import Ints
from eurolm.corpus.unwanted import describe, prepare
from eurolm.corpus.write import WriteTask, merge_heldout, merge_hits, write_unit
from eurolm.machine.workers import Workers

RECIPE = 2

LEAST_BYTES_FOR_WORKERS = 64 * 1024**2
"""About 15 s of work for one core. Starting a Dask cluster takes 3 to 8 s on two cores."""


class UnitWork(Protocol):
    """A task on one unit."""

    @property
    def unit(self) -> Unit: ...


Item = TypeVar("Item", bound=UnitWork)
Result = TypeVar("Result")


def input_files(config: CorpusConfig, base: Path) -> list[Path]:
    """All files that determine the corpus, in the order they are read. Raises InputError for a pattern that matches
    none."""
    text = [path for source in config.sources for path, _ in source_files(source, base)]
    lists = [
        *config.opt_out.domains,
        *config.opt_out.url_prefixes,
        *(item.path for item in config.decontamination.files),
    ]
    indexes = [source.index for source in earlier_sources(config.duplicates.earlier, config.duplicates)]
    return [*text, *lists, *indexes]


def build_corpus(
    config: CorpusConfig,
    base: Path,
    out: Path,
    reporter: Reporter,
    measured_in: Path,
    part_bytes: int = PART_BYTES,
    sizes: Sizes = DEFAULT_SIZES,
) -> None:
    """Fill `out` with `documents/`, `heldout/`, `dropped/`, `index/`, `hits.parquet` and `report.json`.

    `base` is what relative source paths start from; `measured_in` holds the measured attributes of each source, an
    artifact of its own. Raises ConfigError or InputError for what a user can mend.
    """
    if (out / "report.json").exists():
        Scratch(out).remove()
        return
    check_config(config)
    lists = loaded(config.opt_out)
    scratch = Scratch(out)
    scratch.remove_partial()
    units = plan_units(config, base, part_bytes)
    with Workers(config.workers or _worth_starting(units), reporter) as workers:
        measured, tallies = survey(config, base, units, measured_in, _heaviest_first(workers))
        check_read(config, units, tallies)
        clusters = _decide(config, units, measured, scratch, workers, sizes)
        unwanted = prepare(config, units, measured, scratch, config.duplicates.earlier)
        tasks = [WriteTask(unit, config, unwanted, out) for unit in units]
        summaries = _heaviest_first(workers)(write_unit, tasks, "write")
        report = build_report(config, units, tallies, summaries)
        check_result(report)
        merge_heldout(config, units, out)
        workers.map(write_index, _index_tasks(config, units, measured, scratch), label="index", unit="sources")
    hits = merge_hits(units, out)
    report |= {
        "clusters": {**clusters, "largest": report.pop("largest_clusters")},
        "opt_out": lists.describe(),
        "decontamination": describe(unwanted, hits),
    }
    write_json(out / "report.json", report)
    scratch.remove()
    _say(report, reporter)
    for message in warnings(report, config):
        reporter.warn(message)


def _heaviest_first(workers: Workers) -> Callable[..., list[Any]]:
    """A pass over units that starts the heaviest first, so that none is left for the end, and keeps their order."""

    def run(function: Callable[[Item], Result], tasks: Sequence[Item], label: str) -> list[Result]:
        order = sorted(range(len(tasks)), key=lambda place: -tasks[place].unit.weight)
        mixed = workers.map(function, [tasks[place] for place in order], label=label, unit="shards")
        results = dict(zip(order, mixed, strict=True))
        return [results[place] for place in range(len(tasks))]

    return run


def _worth_starting(units: Sequence[Unit]) -> int | None:
    """One process for little text, because starting workers would take longer; else null: as many as cores allow."""
    return 1 if sum(unit.weight for unit in units) < LEAST_BYTES_FOR_WORKERS else None


def _decide(
    config: CorpusConfig,
    units: Sequence[Unit],
    files: Sequence[Path],
    scratch: Scratch,
    workers: Workers,
    sizes: Sizes,
) -> dict[str, Any]:
    """Verdicts of all units into scratch; returns what the report says of duplicates."""
    if scratch.clusters().exists():
        return dict(read_json(scratch.clusters()))
    earlier = earlier_sources(config.duplicates.earlier, config.duplicates)
    origins: list[Unit | EarlierSource] = [*earlier, *units]
    pieces = [Piece(source.index, EARLIER) for source in earlier]
    pieces += [Piece(path, unit.source) for path, unit in zip(files, units, strict=True)]
    measured = Measured.open(pieces)

    def load_shingles(rows: Ints) -> list[Path]:
        tasks = [
            CandidateTask(
                origins[piece], config, np.sort(rows[places]), int(measured.edges[piece]), scratch.shingles(piece)
            )
            for piece, places in measured.by_piece(rows)
        ]
        workers.map(shingle_candidates, tasks, label="candidates", unit="shards")
        return [task.out for task in tasks]

    search = Search(measured, config.duplicates, scratch.keys(), workers, sizes)
    verdicts = [None for _ in earlier] + [scratch.verdicts(unit) for unit in units]
    counts = decide(search, config, verdicts, load_shingles)
    write_json(scratch.clusters(), counts)
    return counts


def _index_tasks(
    config: CorpusConfig, units: Sequence[Unit], files: Sequence[Path], scratch: Scratch
) -> list[IndexTask]:
    tasks = []
    for place in range(len(config.sources)):
        own = [(unit, path) for unit, path in zip(units, files, strict=True) if unit.source == place]
        verdicts = tuple(scratch.verdicts(unit) for unit, _ in own)
        measured = tuple(path for _, path in own)
        tasks.append(IndexTask(place, tuple(unit for unit, _ in own), measured, verdicts, config, scratch.out))
    return tasks


def _say(report: dict[str, Any], reporter: Reporter) -> None:
    totals = report["totals"]
    gone = most_first(totals["dropped"])
    reporter.say(
        f"  read {totals['read']:,} documents ({totals['read_bytes'] / 1e6:.1f} MB), kept {totals['kept']:,} "
        f"({totals['kept_bytes'] / 1e6:.1f} MB), held out {totals['heldout']:,}; dropped: {gone}"
    )
