"""`eurolm status RUN`: stages, jobs, progress and time left of a launched run."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter


@click.command()
@click.argument("run")
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@common
def status(run: str, workspace: Path, reporter: Reporter) -> None:
    """Show how RUN is doing: stages, jobs, training, time left, and its plan against what happened."""
    from eurolm.cluster.status import shown
    from eurolm.cluster.status import status as ask
    from eurolm.cluster.submit import launched

    found = ask(launched(run, workspace))
    if reporter.mode == "json":
        click.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        click.echo("\n".join(shown(found, datetime.now())))
