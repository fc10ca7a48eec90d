"""`eurolm which RUN --step N`: the documents a training step learnt from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from eurolm.cli.corpus import run_directory
from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import ConfigError


@click.command()
@click.argument("run")
@click.option("--step", required=True, type=click.IntRange(min=1), help="Number of the step, as in metrics.jsonl.")
@click.option("--limit", type=click.IntRange(min=1), help="Show this many pieces.")
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@common
def which(run: str, step: int, limit: int | None, workspace: Path, reporter: Reporter) -> None:
    """List the documents of a step of RUN: source, shard, document, and where in which row of the batch."""
    place = run_directory(run, workspace)
    from eurolm.config.load import load_config
    from eurolm.mixture.mixture import Mixture

    mixture = Mixture.open(load_config(place / "config.yaml").config.mixture, place / "tokens", place / "packs")
    if step > mixture.total_steps:
        raise ConfigError(f"--step {step:,}: the phases of {run} have {mixture.total_steps:,} steps.")
    plan = mixture.plan_step(mixture.samples_before(step - 1))
    shown = 0
    for row in range(plan.rows):
        sample = plan.first_sample + row
        source = mixture.sample(sample).source
        for piece in mixture.trace(sample):
            if limit is not None and shown >= limit:
                return
            shown += 1
            if reporter.mode == "json":
                facts = {"step": step, "row": row, "sample": sample, "source": source, **asdict(piece)}
                click.echo(json.dumps(facts, ensure_ascii=False))
            else:
                whole = "whole" if piece.complete else f"from token {piece.first_token:,}"
                click.echo(
                    f"row {row:>5}  {piece.position:>6}+{piece.length:<6} {source}  {piece.shard}#{piece.document}  "
                    f"{piece.id}  {whole}"
                )
