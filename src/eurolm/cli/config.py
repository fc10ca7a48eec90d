"""`eurolm config explain|schema`: what a config says, and what it may say."""

from __future__ import annotations

import json
from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter


@click.group()
def config() -> None:
    """Explain a config, or print its JSON Schema."""


@config.command()
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[key.path=value]...")
@common
def explain(config_file: Path, overrides: tuple[str, ...], reporter: Reporter) -> None:
    """Print every value with where it came from: default, file:line, override or derived."""
    from eurolm.config.load import explain, load_config

    rows = explain(load_config(config_file, overrides))
    if reporter.mode == "json":
        for dotted, value, where in rows:
            click.echo(json.dumps({"key": dotted, "value": value, "origin": where}, ensure_ascii=False))
        return
    width = max(len(dotted) for dotted, _, _ in rows)
    for dotted, value, where in rows:
        shown = json.dumps(value, ensure_ascii=False)
        click.echo(f"{dotted:<{width}}  {shown}  {click.style(f'({where})', dim=True)}")


@config.command()
@common
def schema(reporter: Reporter) -> None:
    """Print the JSON Schema of a config, for editors."""
    from eurolm.config.model import Config

    click.echo(json.dumps(Config.model_json_schema(by_alias=True), ensure_ascii=False, indent=1))
