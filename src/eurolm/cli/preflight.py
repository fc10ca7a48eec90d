"""`eurolm preflight CONFIG`: run by a job before training, once per node; people never type it."""

from __future__ import annotations

from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter


@click.command(hidden=True)
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[key.path=value]...")
@click.option("--devices", type=click.IntRange(min=1), required=True, help="Ranks on this node.")
@common
def preflight(config_file: Path, overrides: tuple[str, ...], devices: int, reporter: Reporter) -> None:
    """Check devices, network, storage and libraries of this job's nodes."""
    from eurolm.cluster.launch import profile_place
    from eurolm.cluster.preflight import Job
    from eurolm.cluster.preflight import preflight as run_preflight
    from eurolm.cluster.profile import load_profile
    from eurolm.config.load import load_config

    job = Job.from_environment()
    config = load_config(config_file, overrides).config
    run_preflight(config, load_profile(profile_place(config.cluster.name, config_file)), devices, job, reporter)
