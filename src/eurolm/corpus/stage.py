"""The corpus stage: measure every document, decide on all of them, write the shards.

Units are spread over worker processes and finished ones are reused after a kill; nothing written depends on which
worker did what, or when. `report.json` is written last: once it exists, only scratch files remain to be removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from eurolm.artifacts.atomic import read_json, write_json
from eurolm.config.corpus import CorpusConfig
from eurolm.console import Reporter
from eurolm.corpus import decide
from eurolm.corpus.candidates import shingle_candidates
from eurolm.corpus.checks import check_config, check_read, check_result, most_first, warnings
from eurolm.corpus.duplicates import Ints
from eurolm.corpus.measure import UnitTask, measure_unit
from eurolm.corpus.measured import Measured
from eurolm.corpus.scratch import Scratch
from eurolm.corpus.shingles import UInts
from eurolm.corpus.summary import build_report
from eurolm.corpus.units import PART_BYTES, Unit, plan_units, source_files
from eurolm.corpus.write import WriteTask, merge_heldout, write_unit
from eurolm.machine.workers import map_shards

RECIPE = 1
LIBRARIES: tuple[str, ...] = ("polars", "pyarrow", "numpy", "rensa", "py3langid", "xxhash", "orjson", "zstandard")

LEAST_BYTES_FOR_WORKERS = 64 * 1024**2
"""About 10 s of work for one core. Starting a Dask cluster takes 3 to 8 s per pass on two cores."""


class UnitWork(Protocol):
    """A task on one unit."""

    @property
    def unit(self) -> Unit: ...


Item = TypeVar("Item", bound=UnitWork)
Result = TypeVar("Result")


def input_files(config: CorpusConfig, base: Path) -> list[Path]:
    """All files of all sources, in the order they are read. Raises InputError for a pattern that matches none."""
    return [path for source in config.sources for path, _ in source_files(source, base)]


def build_corpus(config: CorpusConfig, base: Path, out: Path, reporter: Reporter, part_bytes: int = PART_BYTES) -> None:
    """Fill `out` with `documents/`, `heldout/`, `dropped/` and `report.json`.

    `base` is what relative source paths start from. Raises ConfigError or InputError for what a user can mend.
    """
    if (out / "report.json").exists():
        Scratch(out).remove()
        return
    check_config(config)
    scratch = Scratch(out)
    scratch.remove_partial()
    units = plan_units(config, base, part_bytes)
    run = partial(_map, config=config, reporter=reporter)
    tallies = run(measure_unit, [UnitTask(unit, config, scratch.measured(unit)) for unit in units], label="measure")
    check_read(config, units, tallies)
    clusters = _decide(config, units, scratch, run)
    summaries = run(write_unit, [WriteTask(unit, config, out) for unit in units], label="write")
    report = build_report(config, units, tallies, summaries, clusters)
    check_result(report)
    merge_heldout(config, units, out)
    write_json(out / "report.json", report)
    scratch.remove()
    _say(report, reporter)
    for message in warnings(report, config):
        reporter.warn(message)


def _map(
    function: Callable[[Item], Result],
    tasks: Sequence[Item],
    *,
    config: CorpusConfig,
    reporter: Reporter,
    label: str,
) -> list[Result]:
    """Results in the order of the tasks; the heaviest units start first, so that none is left for the end."""
    order = sorted(range(len(tasks)), key=lambda place: -tasks[place].unit.weight)
    mixed = map_shards(
        function,
        [tasks[place] for place in order],
        workers=config.workers or _worth_starting(tasks),
        label=label,
        unit="shards",
        reporter=reporter,
    )
    results = dict(zip(order, mixed, strict=True))
    return [results[place] for place in range(len(tasks))]


def _worth_starting(tasks: Sequence[UnitWork]) -> int | None:
    """One process for little text, because starting workers would take longer; else null: as many as cores allow."""
    return 1 if sum(task.unit.weight for task in tasks) < LEAST_BYTES_FOR_WORKERS else None


def _decide(
    config: CorpusConfig, units: Sequence[Unit], scratch: Scratch, run: Callable[..., list[Any]]
) -> dict[str, int]:
    """Verdicts of all units into scratch; returns the cluster counts."""
    if scratch.clusters().exists():
        return read_json(scratch.clusters())
    measured = Measured.open(units, scratch)
    judged = decide.judge(measured.attributes(), config)

    def load_shingles(rows: Ints) -> Callable[[int], UInts]:
        run(shingle_candidates, measured.candidate_tasks(rows, config), label="compare")
        return measured.shingles(rows)

    found = decide.find_duplicates(judged, config, measured.signatures, load_shingles)
    measured.write_verdicts(decide.verdicts(judged, found))
    counts = decide.cluster_counts(found)
    write_json(scratch.clusters(), counts)
    return counts


def _say(report: dict[str, Any], reporter: Reporter) -> None:
    totals = report["totals"]
    gone = most_first(totals["dropped"])
    reporter.say(
        f"  read {totals['read']:,} documents ({totals['read_bytes'] / 1e6:.1f} MB), kept {totals['kept']:,} "
        f"({totals['kept_bytes'] / 1e6:.1f} MB), held out {totals['heldout']:,}; dropped: {gone}"
    )
