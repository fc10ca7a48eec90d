"""`eurolm corpus explain|recheck`: why a document was kept or dropped; a finished corpus against newer lists."""

from __future__ import annotations

import json
from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import InputError


@click.group()
def corpus() -> None:
    """Tools for a corpus."""


@corpus.command()
@click.argument("run", metavar="RUN")
@click.argument("document", metavar="DOC_ID|URL")
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@common
def explain(run: str, document: str, workspace: Path, reporter: Reporter) -> None:
    """Show what every rule measured for one document of RUN, and what became of it."""
    place = run_directory(run, workspace)
    from eurolm.config.load import load_config
    from eurolm.corpus.explain import explain as explained
    from eurolm.corpus.explain import shown

    loaded = load_config(place / "config.yaml", ())
    measured_in = loaded.config.run.workspace / "store" / "measured"
    for found in explained(loaded.config.corpus, loaded.path.parent, measured_in, place / "corpus", document):
        if reporter.mode == "json":
            click.echo(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            click.echo(shown(found))


@corpus.command()
@click.argument("run", metavar="RUN")
@click.argument("overrides", nargs=-1, metavar="[key.path=value]...")
@click.option("--out", type=click.Path(path_type=Path), help="Directory for the tables; default runs/RUN/recheck.")
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@common
def recheck(run: str, overrides: tuple[str, ...], out: Path | None, workspace: Path, reporter: Reporter) -> None:
    """Look again for evaluation items, denied licences and opt-outs in the finished corpus of RUN.

    Writes hits.parquet and drop.jsonl; name the latter under corpus.forget, and tokens leaves those documents out.
    """
    place = run_directory(run, workspace)
    from eurolm.config.load import load_config
    from eurolm.corpus.recheck import recheck as check_again

    config = load_config(place / "config.yaml", overrides).config.corpus
    target = out or place / "recheck"
    told = check_again(place / "corpus", config, target, reporter)
    if reporter.mode == "json":
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    dropped = sum(told["dropped"].values())
    click.echo(f"{dropped:,} of {told['documents']:,} documents to drop")
    for reason, count in told["dropped"].items():
        click.echo(f"  {reason:<28} {count:>10,}")
    for task, count in told["hit_documents"].items():
        click.echo(f"  items of {task:<19} {count:>10,}")
    for task, count in told["hit_heldout"].items():
        click.echo(f"  in held-out text: {task} {count:,}, listed only")
    click.echo(f"tables: {target / 'hits.parquet'}, {target / 'drop.jsonl'}")
    if dropped:
        click.echo(f"to leave them out: corpus.forget=[{target / 'drop.jsonl'}]")


def run_directory(run: str, workspace: Path) -> Path:
    """The directory of a run given by name or path. Raises InputError where there is none."""
    for place in (workspace / "runs" / run, Path(run)):
        if (place / "config.yaml").is_file():
            return place
    raise InputError(f"{run} is not a run: neither {workspace / 'runs' / run} nor {run} holds a config.yaml.")
