"""`eurolm cluster show NAME`: a machine profile, every value with its source."""

from __future__ import annotations

import json

import click

from eurolm.cli.options import common
from eurolm.console import Reporter


@click.group()
def cluster() -> None:
    """Machine profiles."""


@cluster.command()
@click.argument("name", required=False)
@common
def show(name: str | None, reporter: Reporter) -> None:
    """Print the profile NAME (shipped, or a YAML file); without NAME list those that are shipped."""
    from eurolm.cluster.profile import load_profile, profile_names
    from eurolm.cluster.show import profile_lines

    if name is None:
        titles = {known: load_profile(known).title for known in profile_names()}
        if reporter.mode == "json":
            click.echo(json.dumps(titles, ensure_ascii=False))
        else:
            click.echo("\n".join(f"{known:<14} {title}" for known, title in titles.items()))
        return
    profile = load_profile(name)
    if reporter.mode == "json":
        click.echo(json.dumps(profile.model_dump(mode="json"), ensure_ascii=False))
    else:
        click.echo("\n".join(profile_lines(profile)))
