"""`eurolm export RUN`: the model of a checkpoint in Hugging Face format."""

from __future__ import annotations

from pathlib import Path

import click

from eurolm.cli.corpus import run_directory
from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import ConfigError


@click.command()
@click.argument("run")
@click.option("--step", type=click.IntRange(min=1), help="Step of the checkpoint; the newest without it.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory to make; runs/RUN/exports/step-N without it.")
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@common
def export(run: str, step: int | None, out: Path | None, workspace: Path, reporter: Reporter) -> None:
    """Export a checkpoint of RUN and check that the files give the loss its receipt states."""
    place = run_directory(run, workspace)
    if out is not None and out.exists():
        raise ConfigError(f"--out {out} exists. Name a directory that does not.")
    from eurolm.train.exports import export_step

    made = export_step(place, step, out)
    click.echo(made)
