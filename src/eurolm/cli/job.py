"""`eurolm job …`: what the script of a training job asks and tells. Hidden: people use launch, status and cancel."""

from __future__ import annotations

import os
from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter


@click.group()
def job() -> None:
    """Parts of a training job."""


@job.command()
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@common
def prepare(config_file: Path, overrides: tuple[str, ...], reporter: Reporter) -> None:
    """Do what comes before the ranks; print the path of their specification, or nothing when training is finished."""
    from eurolm.cluster.ending import refuse_if_cancelled
    from eurolm.config.load import load_config
    from eurolm.pipeline import prepare_training

    refuse_if_cancelled(_run_dir(config_file, overrides), os.environ["SLURM_JOB_ID"])
    spec = prepare_training(load_config(config_file, overrides), reporter)
    if spec is not None:
        click.echo(spec)


@job.command()
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--spec", required=True, type=click.Path(path_type=Path), help="What `prepare` printed.")
@common
def conclude(config_file: Path, overrides: tuple[str, ...], spec: Path, reporter: Reporter) -> None:
    """Read the ranks' verdict; the exit code is the job's."""
    from eurolm.config.load import load_config
    from eurolm.pipeline import conclude_training

    conclude_training(load_config(config_file, overrides), spec, reporter)


@job.command()
@click.argument("code", type=int)
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--unreachable", default="", metavar="NODES", help="Nodes on which Slurm could not start a task.")
@common
def after(code: int, config_file: Path, overrides: tuple[str, ...], unreachable: str, reporter: Reporter) -> None:
    """Print what the batch shell does with this job and the others, one action a line, after it ended with CODE."""
    from eurolm.cluster.ending import actions_after
    from eurolm.config.load import load_config

    known_bad, job = load_config(config_file, overrides).config.cluster.exclude, os.environ["SLURM_JOB_ID"]
    for action in actions_after(_run_dir(config_file, overrides), job, code, unreachable.split(), known_bad):
        click.echo(action)


@job.command()
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@common
def unscored(config_file: Path, overrides: tuple[str, ...], reporter: Reporter) -> None:
    """Print the steps of checkpoints that are kept for good and not scored yet."""
    from eurolm.cluster.ending import unscored as steps

    for step in steps(_run_dir(config_file, overrides)):
        click.echo(step)


@job.command()
@click.argument("step", type=int)
@click.argument("number")
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@common
def scoring(step: int, number: str, config_file: Path, overrides: tuple[str, ...], reporter: Reporter) -> None:
    """Note that job NUMBER scores the checkpoint of STEP."""
    from eurolm.cluster.ending import note_scoring

    note_scoring(_run_dir(config_file, overrides), step, number)


@job.command()
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@common
def rehearsed(config_file: Path, overrides: tuple[str, ...], reporter: Reporter) -> None:
    """Write down what the runs of a rehearsal measured."""
    from eurolm.cluster.launch import profile_place
    from eurolm.cluster.profile import load_profile
    from eurolm.cluster.rehearse import record_rehearsal, shown
    from eurolm.config.load import load_config

    config = load_config(config_file, overrides).config
    profile = load_profile(profile_place(config.cluster.name, config_file))
    for line in shown(record_rehearsal(config.run.workspace.resolve() / "runs" / config.name, profile)):
        reporter.say(line)


def _run_dir(config_file: Path, overrides: tuple[str, ...]) -> Path:
    from eurolm.config.load import load_config

    config = load_config(config_file, overrides).config
    return config.run.workspace.resolve() / "runs" / config.name
