"""`eurolm run CONFIG`: the stages of a config on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import ConfigError
from eurolm.pipeline import STAGES, Selection, execute
from eurolm.training import train_inputs


@click.command()
@click.argument("config_file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[key.path=value]...")
@click.option("--only", type=click.Choice(STAGES), help="Run this stage; the ones before it must be finished.")
@click.option("--from", "first", type=click.Choice(STAGES), help="Start here; the stages before must be finished.")
@click.option("--until", type=click.Choice(STAGES), help="Stop after this stage.")
@click.option("--sample", metavar="1%", help="Use this share of the documents: any corpus runs small.")
@click.option("--prove", is_flag=True, help="Kill a copy of the training and show that it resumes bit for bit.")
@click.option("--accept-change", "accepted", multiple=True, metavar="FIELD", help="Go on although FIELD changed.")
@common
def run(
    config_file: Path,
    overrides: tuple[str, ...],
    only: str | None,
    first: str | None,
    until: str | None,
    sample: str | None,
    prove: bool,
    accepted: tuple[str, ...],
    reporter: Reporter,
) -> None:
    """Run the stages of CONFIG on this machine, each only where it is not finished yet."""
    from eurolm.config.load import load_config

    if only and (first or until):
        raise ConfigError("--only names one stage; --from and --until a range. Use one or the other.")
    if sample:
        overrides = (*overrides, f"corpus.sample_share={_share(sample)}")
    loaded = load_config(config_file, overrides)
    selection = Selection(only or first or STAGES[0], only or until or STAGES[-1])
    if STAGES.index(selection.first) > STAGES.index(selection.last):
        raise ConfigError(f"--from {selection.first} comes after --until {selection.last}.")
    finished = execute(loaded, selection, accepted, reporter)
    proof = None
    if prove and "train" in finished.artifacts:
        from eurolm.train.prove import prove as prove_resume

        proof = prove_resume(train_inputs(finished), reporter)
    if not finished.worked and not proof:
        reporter.say(f"{loaded.config.name}: nothing to do, all is finished in {finished.directory}")
    elif "report" in finished.artifacts and reporter.mode in ("bars", "lines"):
        from eurolm.report.closing import closing_screen

        closing_screen(finished.directory, loaded.config, reporter.console, proof)
    elif proof:
        click.echo(proof)


def _share(text: str) -> float:
    try:
        share = float(text.rstrip("%")) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0:
        raise ConfigError(f"--sample {text}: give a share such as 1% or 0.01, above 0 and at most 100%.")
    return share
