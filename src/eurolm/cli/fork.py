"""`eurolm fork RUN@STEP NEW`: another training from a checkpoint of this one."""

from __future__ import annotations

from pathlib import Path

import click

from eurolm.cli.corpus import run_directory
from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import ConfigError


@click.command()
@click.argument("origin", metavar="RUN@STEP")
@click.argument("name", metavar="NEW")
@click.argument("overrides", nargs=-1, metavar="[key.path=value]...")
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@common
def fork(origin: str, name: str, overrides: tuple[str, ...], workspace: Path, reporter: Reporter) -> None:
    """Begin the run NEW from the checkpoint of RUN at STEP (a number, or `latest`); change what comes after it."""
    run, _, step = origin.partition("@")
    if step != "latest" and not step.isdigit():
        raise ConfigError(f"{origin}: name a run and a step, such as mine@1200 or mine@latest.")
    place = run_directory(run, workspace)
    from eurolm.artifacts.atomic import write_text
    from eurolm.config.load import load_config
    from eurolm.pipeline import resolved_yaml
    from eurolm.train.fork import fork as begin
    from eurolm.training import training_output

    loaded = load_config(place / "config.yaml", (*overrides, f"name={name}"))
    new = place.parent / loaded.config.name
    checkpoint = begin(place, None if step == "latest" else int(step), new, training_output(loaded.config))
    config = new / "config.yaml"
    write_text(config, resolved_yaml(loaded.config))
    reporter.say(f"{loaded.config.name} begins at {checkpoint.name} of {run}")
    click.echo(f"eurolm run {config}")
