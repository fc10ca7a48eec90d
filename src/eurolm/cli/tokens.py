"""`eurolm tokens stats|decode|verify`: what token shards hold, as numbers, as text, and whether they are whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import InputError

if TYPE_CHECKING:
    from eurolm.tokenizer.load import LoadedTokenizer
    from eurolm.tokens.collection import Collection
    from eurolm.tokens.stats import Stats

BARS = " ▁▂▃▄▅▆▇█"
PIECE_COLOURS = ("bright_white", "cyan", "yellow")


@click.group()
def tokens() -> None:
    """Look into token shards: eurolm's, Megatron-LM's, GPT-NeoX's."""


def _on_shards(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument and options that say which shards are meant."""
    command = click.argument("path", metavar="RUN|PATH")(command)
    command = click.option("--tokenizer", type=click.Path(path_type=Path), help="Tokenizer of shards outside a run.")(
        command
    )
    command = click.option(
        "--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/."
    )(command)
    return common(command)


def _found(path: str, workspace: Path, tokenizer: Path | None) -> Collection:
    from eurolm.tokens.collection import find

    run = workspace / "runs" / path
    return find(run if run.is_dir() else Path(path), tokenizer)


@tokens.command()
@_on_shards
def stats(path: str, workspace: Path, tokenizer: Path | None, reporter: Reporter) -> None:
    """Documents, tokens, bytes per token and document lengths of each source and language."""
    shards = _found(path, workspace, tokenizer)
    from eurolm.tokens.stats import statistics

    found = statistics(shards)
    if reporter.mode == "json":
        for entry in found:
            click.echo(json.dumps(entry.as_dict(), ensure_ascii=False))
        return
    wide = max(len(entry.source) for entry in found)
    numbers = f"{'documents':>12}{'tokens':>16}{'B/token':>9}{'mean':>9}{'longest':>11}"
    click.echo(f"{'source':<{wide}}  lang  {numbers}  tokens per document: ≤ 16, ≤ 32, ≤ 64 …")
    for entry in found:
        click.echo(_line(entry, wide))


def _line(entry: Stats, wide: int) -> str:
    per_token = entry.as_dict()["bytes_per_token"]
    peak = max(int(entry.histogram.max()), 1)
    bars = "".join(BARS[-(-int(count) * (len(BARS) - 1) // peak)] for count in entry.histogram)
    return (
        f"{entry.source:<{wide}}  {entry.language or 'n/a':<4}  {entry.documents:>12,}{entry.tokens:>16,}"
        f"{'n/a' if per_token is None else f'{per_token:.2f}':>9}{entry.tokens / max(entry.documents, 1):>9,.0f}"
        f"{entry.longest:>11,}  {bars.rstrip()}"
    )


@tokens.command()
@_on_shards
@click.option("-n", "count", default=3, show_default=True, type=click.IntRange(min=1), help="Documents to show.")
@click.option("--document", metavar="ID|SHARD#N|N", help="Start at this one.")
@click.option("--tokens", "as_pieces", is_flag=True, help="Show the pieces, coloured in turn.")
def decode(
    path: str,
    workspace: Path,
    tokenizer: Path | None,
    count: int,
    document: str | None,
    as_pieces: bool,
    reporter: Reporter,
) -> None:
    """Turn documents back into text; one document unless -n asks for more when --document names it."""
    shards = _found(path, workspace, tokenizer)
    from eurolm.tokens.collection import documents_from, locate

    loaded = shards.loaded()
    if loaded is None:
        raise InputError(f"{path} has no tokenizer beside it: name the one its shards were made with, --tokenizer DIR.")
    first = locate(shards, document) if document else (shards.stems[0], 0)
    explicit = click.get_current_context().get_parameter_source("count") is not click.core.ParameterSource.DEFAULT
    for name, ids in documents_from(shards, first, count if explicit or not document else 1):
        _show(name, ids, loaded, as_pieces, reporter)


def _show(name: str, ids: list[int], loaded: LoadedTokenizer, as_pieces: bool, reporter: Reporter) -> None:
    pieces = [loaded.decode([number]) for number in ids] if as_pieces else []
    if reporter.mode == "json":
        shown = {"document": name, "tokens": len(ids), "text": loaded.decode(ids)}
        if as_pieces:
            shown["pieces"] = [{"id": number, "piece": piece} for number, piece in zip(ids, pieces, strict=True)]
        click.echo(json.dumps(shown, ensure_ascii=False))
        return
    click.echo(click.style(f"{name}: {len(ids):,} tokens", bold=True))
    coloured = [click.style(piece, fg=PIECE_COLOURS[place % 3], reverse=True) for place, piece in enumerate(pieces)]
    click.echo("".join(coloured) if as_pieces else loaded.decode(ids))


@tokens.command()
@_on_shards
def verify(path: str, workspace: Path, tokenizer: Path | None, reporter: Reporter) -> None:
    """Read every byte: sizes, pointers, EOD after every document, ids of the vocabulary, hashes of the manifest."""
    shards = _found(path, workspace, tokenizer)
    from eurolm.tokens.verify import verify as verified

    found = verified(shards)
    if reporter.mode == "json":
        click.echo(json.dumps(vars(found), ensure_ascii=False))
    else:
        click.echo(f"{found.shards:,} shards, {found.documents:,} documents, {found.tokens:,} tokens read")
        for what in found.unchecked:
            click.echo(f"not checked: {what}")
    if found.problems:
        raise InputError("\n".join(found.problems))
