"""`eurolm compare A B …`: which differences between models are real."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import ConfigError

WIDE = 160
"""Columns of a table that goes to a file."""


@click.command()
@click.argument("sources", metavar="A B...", nargs=-1, required=True)
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw the differences.")
@click.option("--samples", default=10_000, show_default=True, type=click.IntRange(min=100), help="Random exchanges.")
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@common
def compare(sources: tuple[str, ...], plot: Path | None, samples: int, workspace: Path, reporter: Reporter) -> None:
    """Compare every other result with A, the first: runs, or directories that `eurolm evaluate` wrote. NAME=PLACE
    names one.

    Each shared task and each language's held-out text is tested on the items both have answered.
    """
    if len(sources) < 2:
        raise ConfigError("eurolm compare needs two results or more: eurolm compare A B.")
    if plot is not None and plot.suffix != ".svg":
        raise ConfigError(f"--plot {plot}: the plot is an SVG file; name it {plot.with_suffix('.svg').name}.")
    from eurolm.evaluate.compare import compare as compared
    from eurolm.evaluate.compare import find_results, read_result

    results = []
    for source in sources:
        name, _, place = source.rpartition("=")
        results.append(read_result(name or Path(place).name, find_results(place, workspace)))
    names = [result.name for result in results]
    if len(set(names)) < len(names):
        raise ConfigError(f"two results have the same name ({', '.join(names)}): name them, first=A second=B.")
    found = compared(results, samples)
    from eurolm.report.compare_view import forest, notes, table

    if plot is not None:
        from eurolm.artifacts.atomic import write_text

        write_text(plot, forest(found))
    if reporter.mode == "json":
        click.echo(json.dumps(dataclasses.asdict(found), ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(table(found))
    for note in notes(found):
        console.print(note, style="dim", highlight=False)
