"""`eurolm doctor RUN`: why a launched run does not go on."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter


@click.command()
@click.argument("run")
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@common
def doctor(run: str, workspace: Path, reporter: Reporter) -> None:
    """Say in one screen why RUN does not go on: the failed job, its last words, what they mean, what helps."""
    from eurolm.cluster.doctor import examine, shown
    from eurolm.cluster.status import status
    from eurolm.cluster.submit import launched

    found = status(launched(run, workspace))
    findings = examine(found, time.time())
    if reporter.mode == "json":
        click.echo(json.dumps([asdict(finding) for finding in findings], default=str, ensure_ascii=False))
    else:
        click.echo("\n".join(shown(found, findings)))
