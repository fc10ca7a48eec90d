"""`eurolm launch CONFIG`: the run as Slurm jobs."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import ConfigError

if TYPE_CHECKING:
    from eurolm.cluster.plan_record import Plan
    from eurolm.cluster.submit import Launch


@click.command()
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[key.path=value]...")
@click.option("--cluster", metavar="NAME", help="Machine profile, instead of the config's cluster.name.")
@click.option("--dry-run", is_flag=True, help="Write the plan and the job scripts; submit nothing.")
@click.option("--rehearse", is_flag=True, help="Measure speed and save time on the debug partition, for the plan.")
@common
def launch(
    config_file: Path,
    overrides: tuple[str, ...],
    cluster: str | None,
    dry_run: bool,
    rehearse: bool,
    reporter: Reporter,
) -> None:
    """Plan the run of CONFIG and submit it to Slurm: stages as jobs, training as a chain that resumes by itself.

    A run whose jobs are alive is not submitted twice: its jobs are shown.
    """
    from eurolm.cluster.launch import check_files, prepare, table
    from eurolm.cluster.rehearse import prepare_rehearsal
    from eurolm.cluster.submit import live_launch, share_with_group, submit, write_scripts
    from eurolm.config.load import load_config
    from eurolm.pipeline import check_early

    overrides = overrides if cluster is None else (*overrides, f"cluster.name={cluster}")
    config = load_config(config_file, overrides).config
    check_early(config)
    share_with_group(config.run.umask)
    alive = live_launch(config.run.workspace.resolve() / "runs" / config.name)
    if alive is not None:
        _attach(alive, reporter)
        return
    plan = _plan(config_file, overrides, reporter)
    prepared = (prepare_rehearsal if rehearse else prepare)(config_file, overrides, plan, Path.cwd())
    for line in table(prepared):
        reporter.say(line)
    if dry_run:
        place = write_scripts(prepared.order, prepared.scripts)
        reporter.say(f"written to {place}: {', '.join(prepared.scripts)}")
        if reporter.mode == "json":
            click.echo(json.dumps({"run": config.name, "place": str(place), "scripts": list(prepared.scripts)}))
        return
    check_files(prepared.order)
    launched = submit(prepared.order, prepared.jobs, prepared.scripts, reporter)
    if reporter.mode == "json":
        click.echo(json.dumps({"run": config.name, "jobs": launched.jobs}))
    reporter.say(f"follow it: eurolm status {config.name}")


def _plan(config_file: Path, overrides: tuple[str, ...], reporter: Reporter) -> Plan:
    """The plan, shown and stored. Raises ConfigError for a run that is not worth submitting."""
    from eurolm.cluster.plan_text import failures, plan_lines
    from eurolm.cluster.planning import plan_run

    plan = plan_run(config_file, overrides, None, None, launching=True)
    for line in plan_lines(plan):
        reporter.say(line)
    if faults := failures(plan):
        raise ConfigError("not worth submitting yet: " + "; ".join(faults))
    return plan


def _attach(alive: Launch, reporter: Reporter) -> None:
    """Show a run that is under way already."""
    from eurolm.cluster.status import shown, status

    found = status(alive)
    if reporter.mode == "json":
        click.echo(json.dumps({"run": found.name, "jobs": alive.jobs}))
    reporter.say(f"{found.name} is under way already; nothing was submitted.")
    for line in shown(found, datetime.now()):
        reporter.say(line)
