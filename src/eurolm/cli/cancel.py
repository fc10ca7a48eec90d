"""`eurolm cancel RUN`: a launched run stopped in good order."""

from __future__ import annotations

from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter


@click.command()
@click.argument("run")
@click.option("--wait", "wait_s", default=300.0, type=click.FloatRange(min=0), metavar="SECONDS",
              help="Time a running training may take to save and stop, before it is cancelled.")  # fmt: skip
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@common
def cancel(run: str, wait_s: float, workspace: Path, reporter: Reporter) -> None:
    """Cancel the jobs of RUN; a running training saves and stops first."""
    from eurolm.cluster.cancel import cancel as cancel_jobs
    from eurolm.cluster.submit import launched, share_with_group
    from eurolm.config.load import load_config

    launch = launched(run, workspace)
    share_with_group(load_config(launch.config_file, launch.overrides).config.run.umask)
    cancel_jobs(launch, wait_s, reporter)
