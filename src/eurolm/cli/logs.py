"""`eurolm logs RUN`: last lines of a launched run's jobs."""

from __future__ import annotations

import os
from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import InputError


@click.command()
@click.argument("run")
@click.option(
    "--job", metavar="NAME", help="Job by name or id, as `eurolm status` shows them; default: the newest log."
)
@click.option("--ranks", is_flag=True, help="Of a training job: the rank that wrote last, instead of the job script.")
@click.option("--lines", default=40, type=click.IntRange(min=1), help="Lines shown.")
@click.option("--follow", is_flag=True, help="Go on showing what is written.")
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@common
def logs(run: str, job: str | None, ranks: bool, lines: int, follow: bool, workspace: Path, reporter: Reporter) -> None:
    """Show the last lines of RUN's newest log, or of one job's."""
    from eurolm.cluster.logs import job_log, last_lines, newest_log, rank_logs
    from eurolm.cluster.submit import launched

    launch = launched(run, workspace)
    path = job_log(launch, job) if job else newest_log(launch)
    if ranks:
        found = rank_logs(launch, path.stem.rpartition("-")[2])
        if not found:
            raise InputError(f"no rank of {path.stem} has written a log.")
        path = found[0]
    reporter.say(f"{path}:")
    if follow:
        os.execvp("tail", ["tail", "-n", str(lines), "-F", "--", str(path)])  # noqa: S606, S607 - a list of arguments
    click.echo("\n".join(last_lines(path, lines)))
