"""`eurolm verify RUN`: every byte of a run against its hashes, every checkpoint against its receipt."""

from __future__ import annotations

from pathlib import Path

import click

from eurolm.artifacts.ledger import events
from eurolm.artifacts.manifest import MANIFEST, damaged_files, describe_files, hash_of, read_manifest
from eurolm.cli.corpus import run_directory
from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import EurolmError, InputError

STAGES = ("corpus", "tokenizer", "tokens", "packs", "model")


@click.command()
@click.argument("run")
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@common
def verify(run: str, workspace: Path, reporter: Reporter) -> None:
    """Hash all artifacts and checkpoints of RUN again, and add up the tensors of each checkpoint.

    Ends with 2 where a file differs, with 11 where tensors are not those of the receipt.
    """
    place = run_directory(run, workspace)
    from eurolm.train.inputs import CHECKPOINTS
    from eurolm.train.store import complete

    wrong: dict[str, EurolmError] = {}
    for stage in STAGES:
        if (place / stage).is_dir():
            _check(reporter, wrong, stage, lambda stage=stage: _artifact(place, stage))
    checkpoints = complete(place / CHECKPOINTS)
    if not checkpoints and not any((place / stage).is_dir() for stage in STAGES):
        raise InputError(f"{place} holds nothing that could be verified yet: no stage of it is finished.")
    if checkpoints:
        from eurolm.train.verify import verify_checkpoint

        for path in checkpoints:
            _check(reporter, wrong, path.name, lambda path=path: verify_checkpoint(path))
    if wrong:
        worst = max(wrong.values(), key=lambda error: error.exit_code)
        raise type(worst)(f"{place.name} is not whole: see {', '.join(wrong)} above.")
    click.echo(f"{place.name}: whole")


def _check(reporter: Reporter, wrong: dict[str, EurolmError], name: str, check: object) -> None:
    try:
        size = check()  # type: ignore[operator]
    except EurolmError as error:
        wrong[name] = error
        reporter.warn(f"{name}: {error}")
    else:
        reporter.say(f"  {name:<16} {size / 1e6:>12,.1f} MB as written", name=name, bytes=size)


def _artifact(run_dir: Path, stage: str) -> int:
    """Bytes of a finished artifact. Raises InputError where it differs from its manifest or from the ledger."""
    place = run_dir / stage
    if (place / MANIFEST).is_file():
        manifest = read_manifest(place)
        if damaged := damaged_files(place, manifest):
            raise InputError(f"{place}: {len(damaged)} files differ from the manifest, first {damaged[0]}.")
        return sum(int(entry["bytes"]) for entry in manifest.files.values())
    from eurolm.stages import TOKENIZER_FILES

    files = describe_files(place, TOKENIZER_FILES)
    known = [event["content"] for event in events(run_dir, "artifact", stage=stage)]
    if known and hash_of(files) != known[-1]:
        raise InputError(f"{place} is not what this run was made from: its files changed.")
    return sum(int(entry["bytes"]) for entry in files.values())
