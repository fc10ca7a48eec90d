"""`eurolm plan CONFIG`: what a run will take, before it is submitted."""

from __future__ import annotations

import json
from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter


@click.command()
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[key.path=value]...")
@click.option("--cluster", metavar="NAME", help="Machine profile, instead of the config's cluster.name.")
@click.option("--nodes", type=click.IntRange(min=1), help="Nodes, instead of the config's cluster.nodes.")
@common
def plan(
    config_file: Path, overrides: tuple[str, ...], cluster: str | None, nodes: int | None, reporter: Reporter
) -> None:
    """Memory, layout, hours, billing units, energy, storage and data of the run of CONFIG on a machine.

    Needs no GPU. The plan is stored in the run and becomes what `eurolm status` compares with.
    """
    from eurolm.cluster.plan_text import as_json, failures, plan_lines
    from eurolm.cluster.planning import plan_run
    from eurolm.errors import ConfigError

    made = plan_run(config_file, overrides, cluster, nodes)
    if reporter.mode == "json":
        click.echo(json.dumps(as_json(made), ensure_ascii=False))
    else:
        click.echo("\n".join(plan_lines(made)))
    if faults := failures(made):
        raise ConfigError("not worth submitting yet: " + "; ".join(faults))
