"""`eurolm launch CONFIG`: the run as Slurm jobs."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter


@click.command()
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[key.path=value]...")
@click.option("--cluster", metavar="NAME", help="Machine profile, instead of the config's cluster.name.")
@click.option("--dry-run", is_flag=True, help="Write the job scripts and show the jobs; submit nothing.")
@common
def launch(
    config_file: Path, overrides: tuple[str, ...], cluster: str | None, dry_run: bool, reporter: Reporter
) -> None:
    """Submit the run of CONFIG to Slurm: stages as jobs, training as a chain that resumes by itself.

    A run whose jobs are alive is not submitted twice: its jobs are shown.
    """
    from eurolm.cluster.launch import prepare, table
    from eurolm.cluster.status import shown, status
    from eurolm.cluster.submit import share_with_group, submit, write_scripts
    from eurolm.pipeline import check_early

    prepared = prepare(config_file, overrides, cluster, Path.cwd())
    order = prepared.order
    check_early(order.config)
    share_with_group(order.config.run.umask)
    for line in table(prepared):
        reporter.say(line)
    if dry_run:
        place = write_scripts(order, prepared.scripts)
        reporter.say(f"written to {place}: {', '.join(prepared.scripts)}")
        return
    before = _launched(order.run_dir)
    launched = submit(order, prepared.jobs, prepared.scripts, reporter)
    if launched.facts == before:
        reporter.say(f"{order.config.name} is under way already; nothing was submitted.")
        for line in shown(status(launched), datetime.now()):
            reporter.say(line)
    if reporter.mode == "json":
        click.echo(json.dumps({"run": order.config.name, "jobs": launched.jobs}))
    else:
        reporter.say(f"follow it: eurolm status {order.config.name}")


def _launched(run_dir: Path) -> dict[str, object] | None:
    from eurolm.cluster.submit import last_launch

    before = last_launch(run_dir)
    return None if before is None else before.facts
