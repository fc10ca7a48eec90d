"""`eurolm bundle CONFIG --cluster NAME`: a run's data, code and wheels for a machine without internet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.pipeline import Selection, execute, resolved_yaml
from eurolm.stages import Run

if TYPE_CHECKING:
    from eurolm.cluster.bundle import Contents


@click.command()
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[key.path=value]...")
@click.option("--cluster", required=True, metavar="NAME", help="Machine it is for.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory to make; default NAME-for-CLUSTER.")
@click.option("--extras", default="train,eval", show_default=True, help="Extras of eurolm whose wheels go in.")
@common
def bundle(
    config_file: Path,
    overrides: tuple[str, ...],
    cluster: str,
    out: Path | None,
    extras: str,
    reporter: Reporter,
) -> None:
    """Pack what the run CONFIG needs on a machine without internet. Its data must be finished (--until tokens)."""
    from eurolm.artifacts.atomic import write_json
    from eurolm.cluster.bundle import bundled_config, size_of, transfer_command, write_bundle, write_sums
    from eurolm.cluster.bundle_wheels import Wheels, running_python
    from eurolm.cluster.launch import profile_place
    from eurolm.cluster.profile import load_profile, profile_names
    from eurolm.config.load import load_config

    loaded = load_config(config_file, overrides)
    profile = load_profile(profile_place(cluster, config_file))
    shipped = cluster in profile_names()
    # No stage lies between the last and the third: finished ones are looked up, none is made.
    run = execute(loaded, Selection("report", "tokens"), (), reporter)
    place = out or Path(f"{loaded.config.name}-for-{profile.name}")
    config = bundled_config(loaded.config, cluster if shipped else "cluster.yaml")
    in_image = profile.container.packages.get("python") if profile.container else None
    wheels = Wheels(tuple(name for name in extras.split(",") if name), in_image or running_python())
    write_bundle(place, loaded.config, resolved_yaml(config), _contents(run), wheels, reporter)
    if not shipped:
        write_json(place / "cluster.yaml", {**profile.model_dump(mode="json"), "extends": []})
        write_sums(place)
    size, files = size_of(place)
    click.echo(f"{place}: {size / 1e9:,.2f} GB in {files:,} files, wheels for Python {wheels.python}")
    click.echo(f"not in it, {profile.title} brings them: {', '.join(wheels.left_out)}")
    click.echo(f"into {profile.title}: {profile.access.transfer or 'the profile does not say how'}")
    click.echo(f"  {transfer_command(place, profile.access.transfer_host)}")
    click.echo("there, in the bundle: ./install.sh PYTHON")


def _contents(run: Run) -> Contents:
    from eurolm.cluster.bundle import Contents
    from eurolm.tokens.description import read_description
    from eurolm.tokens.packing import kept_indexes

    artifacts = {stage: artifact.path for stage, artifact in run.artifacts.items() if stage != "packs"}
    # A tokens artifact may only describe shards that lie elsewhere.
    artifacts["tokens"] = read_description(artifacts["tokens"]).shards_in(artifacts["tokens"])
    kept = run.workspace.artifacts("packed")
    packed = kept_indexes(run.config.mixture, run.artifacts["tokens"].path, kept)
    return Contents(artifacts, packed, kept.parent)
