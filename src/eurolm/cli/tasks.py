"""`eurolm tasks list|show|export|fetch`: which evaluations there are, what exactly they ask, as files for lm-eval."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import ConfigError

if TYPE_CHECKING:
    from eurolm.tasks.export import Exported
    from eurolm.tasks.items import Item
    from eurolm.tasks.load import Task
    from eurolm.tasks.prompts import Prompt
    from eurolm.tokenizer.load import LoadedTokenizer

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""How SentencePiece writes a space."""
WIDE = 200
"""Columns of a table that goes to a file."""


@click.group()
def tasks() -> None:
    """Evaluation tasks: list them, show their exact prompts, export them for lm-evaluation-harness."""


def _asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that decide what is asked."""
    options = (
        click.option("--shots", default=0, show_default=True, type=click.IntRange(min=0), help="Examples a prompt."),
        click.option("--seed", default=1, show_default=True, help="Chooses the examples."),
        click.option(
            "--items", metavar="FILE|full", help="Items of this file, or all fetched ones, not the carried ones."
        ),
    )
    for option in options:
        command = option(command)
    return common(command)


@tasks.command("list")
@common
def list_tasks(reporter: Reporter) -> None:
    """All tasks: kind, language, items, how the items were written, licence, baselines, who reviewed them."""
    from eurolm.tasks.load import fetched_names, load_task, task_names

    rows = [_summary(load_task(name)) for name in (*task_names(), *fetched_names())]
    if reporter.mode == "json":
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*rows[0], box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _summary(task: Task) -> dict[str, Any]:
    from eurolm.tasks.items import items

    return {
        "task": task.name,
        "kind": task.kind,
        "language": task.language,
        "items": len(items(task)) if task.items_path.is_file() else "to fetch",
        "metric": task.metric,
        "best baseline": task.baselines.best if task.baselines.stated else None,
        "templates": len(task.templates) or None,
        "written": task.written,
        "license": task.license,
        "reviewed by": task.reviewed_by or "nobody yet",
    }


@tasks.command()
@click.argument("name", metavar="TASK")
@click.option("-n", "count", default=3, show_default=True, type=click.IntRange(min=1), help="Items to show.")
@click.option("--template", default="", metavar="NAME", help="Wording; the task's first where not given.")
@click.option("--tokenizer", type=click.Path(path_type=Path), metavar="DIR", help="Show the tokens of this tokenizer.")
@click.option("--chat", is_flag=True, help="Ask by the chat template beside the tokenizer.")
@_asking
def show(
    name: str,
    count: int,
    template: str,
    tokenizer: Path | None,
    chat: bool,
    shots: int,
    seed: int,
    items: str | None,
    reporter: Reporter,
) -> None:
    """Show what a model is asked, character by character, and what is right."""
    if chat and tokenizer is None:
        raise ConfigError("--chat needs the tokenizer whose chat template is used: --tokenizer DIR.")
    task, found = _opened(name, items)
    from eurolm.tasks.chat import as_chat, chat_of
    from eurolm.tasks.examples import limited
    from eurolm.tasks.prompts import prompts

    asked = prompts(task, limited(found, count), template, shots, seed, found)
    if chat and tokenizer is not None:
        render = chat_of(tokenizer)
        asked = [as_chat(prompt, render) for prompt in asked]
    pieces = _pieces(tokenizer, chat) if tokenizer else None
    if reporter.mode == "json":
        for prompt in asked:
            shown = vars(prompt) | {"turns": [vars(turn) for turn in prompt.turns]}
            tokens = dict(zip(("tokens", "choice_tokens"), pieces(prompt), strict=True)) if pieces else {}
            click.echo(json.dumps(shown | tokens, ensure_ascii=False))
        return
    _head(task, len(found), template)
    for prompt in asked:
        _print_prompt(prompt, pieces(prompt) if pieces else None)


@tasks.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("names", metavar="[TASK]...", nargs=-1)
@click.option("--template", "templates", multiple=True, metavar="NAME|all", help="May be repeated.")
@click.option("--limit", type=click.IntRange(min=1), help="Items a task; always the same ones.")
@_asking
def export(
    directory: Path,
    names: tuple[str, ...],
    templates: tuple[str, ...],
    limit: int | None,
    shots: int,
    seed: int,
    items: str | None,
    reporter: Reporter,
) -> None:
    """Write tasks (all that are carried, unless named) as files that lm-evaluation-harness runs unchanged, offline."""
    if items and len(names) != 1:
        raise ConfigError("--items belongs to one task: name it.")
    from eurolm.tasks.examples import limited
    from eurolm.tasks.export import export_task
    from eurolm.tasks.load import task_names

    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name in names or task_names():
        task, found = _opened(name, items)
        for template in _chosen(task, templates):
            written.append(export_task(directory, task, limited(found, limit), template, shots, seed, found))
            entry = written[-1]
            reporter.say(f"{entry.name}: {entry.items:,} items", task=entry.name, file=str(entry.description))
    _say_commands(directory, written, reporter)


def _say_commands(directory: Path, written: list[Exported], reporter: Reporter) -> None:
    """How to run them. The harness puts BOS before whole texts itself: a tokenizer that adds one would double it."""
    for kind, more in ((False, ""), (True, ",add_bos_token=False")):
        names = [entry.name for entry in written if entry.is_text is kind]
        if names:
            reporter.say(
                f"cd {directory} && HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 lm_eval --model hf "
                f"--model_args pretrained=MODEL{more} --include_path . --tasks {','.join(names)}"
            )


@tasks.command()
@click.argument("names", metavar="TASK...", nargs=-1, required=True)
@common
def fetch(names: tuple[str, ...], reporter: Reporter) -> None:
    """Get all items of TASKs from their public source, on a machine with network."""
    from eurolm.tasks.fetch import fetch as fetch_task
    from eurolm.tasks.load import load_task

    for task in map(load_task, names):
        path = fetch_task(task)
        reporter.say(f"{task.name}: {path}", task=task.name, path=str(path))
        source = task.source.hub or task.source.repository
        if source is not None and not source.schema_checked:
            reporter.warn(
                f"{task.name}: the form of its source is known from its description only; look at a few items before "
                f"you trust a score: eurolm tasks show {task.name}."
            )


def _chosen(task: Task, templates: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(task.templates) or ("",) if templates == ("all",) else templates or ("",)


def _opened(name: str, chosen: str | None) -> tuple[Task, list[Item]]:
    from eurolm.tasks.items import items
    from eurolm.tasks.load import load_task, with_items

    task = with_items(load_task(name), chosen)
    return task, items(task)


Tokens = tuple[list[str], list[list[str]]]
"""Of a prompt's context, and of each choice after it, as a model reads them."""


def _pieces(directory: Path, special: bool) -> Callable[[Prompt], Tokens]:
    from eurolm.scoring.choices import Continuation
    from eurolm.scoring.encoding import encode_contexts, encode_requests, opening
    from eurolm.tokenizer.load import load

    tokenizer = load(directory)
    opens = opening(directory, tokenizer)

    def pieces(prompt: Prompt) -> Tokens:
        asked = [Continuation(prompt.context, choice) for choice in prompt.choices]
        if asked:
            texts, _ = encode_requests(tokenizer, asked, opens, special, None)
            context = texts[0].ids[: -texts[0].scored]
            choices = [text.ids[-text.scored :] for text in texts]
        else:
            (context,), _ = encode_contexts(tokenizer, [prompt.context], opens, special, None)
            choices = []
        return _written(tokenizer, context), [_written(tokenizer, ids) for ids in choices]

    return pieces


def _written(tokenizer: LoadedTokenizer, ids: Iterable[int]) -> list[str]:
    """Each token as text. One of SentencePiece by its name, because decoding drops the space that begins a text."""
    names = [(int(number), tokenizer.tokenizer.id_to_token(int(number)) or "") for number in ids]
    return [name.replace(SPACE, " ") if SPACE in name else tokenizer.decode([number]) for number, name in names]


def _head(task: Task, count: int, template: str) -> None:
    said = {
        "kind": task.kind,
        "items": f"{count:,}, {task.written}; {task.made_by}",
        "license": task.license,
        "all items": _source(task),
        "file": str(task.items_path),
        "fields": _fields(task),
        "metric": task.metric,
        "baselines": ", ".join(f"{name} {value}" for name, value in task.baselines.stated.items()) or "none",
        "template": f"{template or task.default_template} of {', '.join(task.templates)}" if task.templates else None,
        "reviewed by": task.reviewed_by or "nobody yet",
    }
    click.echo(click.style(task.name, bold=True))
    for key, value in said.items():
        if value is not None:
            click.echo(f"  {key}: {value}")


def _fields(task: Task) -> str:
    """Which field of a record holds what: the shape of a file for --items."""
    from eurolm.tasks.templates import fields_read

    named = task.fields.model_dump(exclude_none=True)
    said = [
        f"{part} = {' + '.join((name,) if isinstance(name, str) else name)}"
        for part, name in named.items()
        if not isinstance(name, bool)
    ]
    used = fields_read(task)
    said += [f"prompts use {', '.join(used)}"] * bool(used)
    said += [f"only where {name} is {json.dumps(value)}" for name, value in task.where.items()]
    said += ["records of one id are one item"] * task.fields.gather
    return "; ".join(said)


def _source(task: Task) -> str:
    if task.source.hub:
        return f"https://huggingface.co/datasets/{task.source.hub.hub} at {task.source.hub.revision}"
    if task.source.repository:
        return f"{task.source.repository.repository} at {task.source.repository.commit}"
    return str(task.source.none)


def _print_prompt(prompt: Prompt, tokens: Tokens | None) -> None:
    click.echo(click.style(f"── {prompt.item}", bold=True))
    if prompt.context:
        click.echo(prompt.context)
    for place, choice in enumerate(prompt.choices):
        right = click.style("✓", fg="green") if place == prompt.gold else " "
        click.echo(f"  {right} {choice!r}{_shown(tokens[1][place]) if tokens else ''}")
    for reference in prompt.references:
        click.echo(f"  {click.style('✓', fg='green')} {reference!r}")
    if prompt.max_new_tokens:
        click.echo(f"  written until {' or '.join(map(repr, prompt.stop))}, at most {prompt.max_new_tokens} tokens")
    if tokens:
        click.echo(f"  {'context' if prompt.context else 'before it'}{_shown(tokens[0])}")


def _shown(tokens: list[str]) -> str:
    return f"  {len(tokens)} token{'s' * (len(tokens) != 1)}: {'|'.join(tokens)!r}"
