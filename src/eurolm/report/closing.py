"""The screen a finished run ends with: tokens, texts and scores of this very run, and what to do next.

Read from the same files as the report; what is missing is said, never filled in. Text comes from corpora and from
models that may have learned anything, so control characters never reach the terminal.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from eurolm.config.model import Config
from eurolm.evaluate.results import Results
from eurolm.report.continued import continued
from eurolm.report.inputs import METRICS as LOG
from eurolm.report.inputs import RESULTS, SAMPLES, RunFiles, read_run
from eurolm.report.numbers import PERCENT, between, fixed, language_name, whole
from eurolm.report.scores import METRICS, amount, amounts, best, headline_of, judgement, ngrams, verdict
from eurolm.report.tokenizer_view import cut_sentences
from eurolm.report.training import course, prompts, share_label

PROMPTS_SHOWN = 2
INDENT = 2
TINTS = (
    "#000000 on #a8d1f5",
    "#000000 on #f9c99f",
    "#000000 on #a5e0c8",
    "#000000 on #e9bfe0",
    "#000000 on #e6dc8f",
)
"""Styles that tokens take in turn: dark letters on light grounds, legible on any terminal background."""
SEPARATOR = "·"
"""Stands between tokens where there are no colours."""


def closing_screen(run_dir: Path, config: Config, console: Console, proof: str | None) -> None:
    """Print what the run came to. `proof` is the sentence that `--prove` arrived at."""
    files = read_run(run_dir, config)
    console.print()
    console.print(Rule(Text(config.name, style="bold"), align="left", style="dim"))
    _tokens(run_dir, config, console)
    _texts(files, console)
    _continued(files, config, console)
    _scores(files, console)
    _next(run_dir, config, console, proof)


def shown(text: str) -> str:
    """Text that is safe on a terminal, on one line."""
    return "".join(letter if letter.isprintable() else " " for letter in text.replace("\n", " ⏎ "))


def _heading(console: Console, title: str, remark: str = "") -> None:
    console.print()
    _paragraph(console, Text(f"{title}  " if remark else title, style="bold"), Text(remark, style="dim"), 0)


def _paragraph(console: Console, label: Text, text: Text, indent: int = INDENT) -> None:
    """A label and text beside it that wraps below itself; no blanks at line ends, which a log would keep."""
    width = indent + label.cell_len
    for number, line in enumerate(text.wrap(console, max(20, console.width - width)) or [Text()]):
        line.rstrip()
        start = Text.assemble(" " * indent, label) if number == 0 else Text(" " * width)
        console.print(start.append_text(line), soft_wrap=True)


def _missing(console: Console, reason: str) -> None:
    _paragraph(console, Text(), Text(f"n/a: {reason}", style="yellow"))


def _tokens(run_dir: Path, config: Config, console: Console) -> None:
    found = cut_sentences(run_dir, config)
    cuts = found["sentences"][0]["cuts"] if found["sentences"] else []
    sizes = ", ".join(f"{cut['name']} {whole(cut['vocab_size'])} entries" for cut in reversed(cuts))
    _heading(console, "Tokens", sizes)
    for sentence in found["sentences"]:
        own, *others = sentence["cuts"]
        label = Text(" " * INDENT).append(f"{sentence['language']}  ", style="bold")
        for other in others:
            label.append(f"{other['name']} {other['tokens']} → ")
        console.print(label.append(f"{own['tokens']} tokens", style="bold cyan"), soft_wrap=True)
        for cut in reversed(sentence["cuts"]):
            _paragraph(console, Text(), _coloured(cut["pieces"], plain=_is_plain(console)))
    for problem in found["problems"]:
        _missing(console, problem)
    if found["hint"]:
        _paragraph(console, Text(), Text(found["hint"], style="dim"))


def _is_plain(console: Console) -> bool:
    return not console.is_terminal or console.no_color or console.color_system is None


def _coloured(pieces: list[dict[str, Any]], plain: bool) -> Text:
    if plain:
        return Text(SEPARATOR.join(shown(piece["text"]) for piece in pieces))
    text = Text()
    for piece in pieces:
        text.append(shown(piece["text"]), style=TINTS[piece["tint"]])
    return text


def _texts(files: RunFiles, console: Console) -> None:
    _heading(console, "The same prompt while the model learns")
    found = prompts(files.lines(SAMPLES) or [])
    if not found:
        _missing(console, files.reason(SAMPLES) or f"{SAMPLES} holds no samples")
    for number, item in enumerate(found[:PROMPTS_SHOWN]):
        if number:
            console.print()
        labels = [f"{share_label(sample['share'])}, step {whole(sample['step'])}" for sample in item["texts"]]
        for label, sample in zip(labels, item["texts"], strict=True):
            text = Text.assemble((shown(item["prompt"]), "bold"), shown(sample["text"]))
            _paragraph(console, Text(label.ljust(max(map(len, labels)) + INDENT), style="dim"), text)


def _continued(files: RunFiles, config: Config, console: Console) -> None:
    """Bits per byte before, at the start and after, of a run that continues a model."""
    lines = files.lines(LOG) or []
    found = continued(lines, course(lines, config.mixture))
    if found is None:
        return
    _heading(console, "What continuing changed", "bits per byte of the text that validation scores")
    table = _table("", "before", "at the start", "after")
    for code, before, at_start, after in found.rows():
        table.add_row(language_name(code), fixed(before), fixed(at_start), Text(fixed(after), style="bold cyan"))
    console.print(table)
    if found.vocabulary:
        _paragraph(console, Text(), Text(shown(f"embedding: {found.vocabulary}"), style="dim"))
    if found.left_out:
        _missing(console, f"before: {found.left_out}")


def _scores(files: RunFiles, console: Console) -> None:
    results = files.results
    _heading(console, "Bits per byte of held-out text", "lower is better")
    if results is None:
        _missing(console, files.reason(RESULTS))
        return
    console.print(_bits_table(results))
    for code, score in results.bits_per_byte.items():
        if verdict(score):
            _paragraph(console, Text(f"{language_name(code)}: "), Text(verdict(score)))
    if results.tasks:
        _heading(console, "Tasks", "beside the best of the figures that need no knowledge of the language")
        console.print(_tasks_table(results))
        for name, task in results.tasks.items():
            metric = METRICS.get(task.headline, task.headline)
            _paragraph(console, Text(f"{name}: "), Text(f"{metric}, {judgement(task)}"))


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 0, 0, INDENT), header_style="dim", pad_edge=True)
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _bits_table(results: Results) -> Table:
    orders = sorted({order for score in results.bits_per_byte.values() for order in ngrams(score)}, reverse=True)
    table = _table("", "model", "95 % interval", *(f"{order}-gram" for order in orders), "untrained")
    for code, score in results.bits_per_byte.items():
        others = [fixed(ngrams(score).get(order)) for order in orders]
        table.add_row(
            language_name(code),
            Text(fixed(score.value), style="bold cyan"),
            between(score.low, score.high),
            *others,
            fixed(score.rows.untrained),
        )
    return table


def _tasks_table(results: Results) -> Table:
    table = _table("in %", "items", "model", "interval", "best baseline")
    for name, task in results.tasks.items():
        score = headline_of(task)
        table.add_row(
            name,
            whole(score.figure.items),
            Text(_bare(amount(score, score.figure.value)), style="bold cyan"),
            _bare(amounts(score)),
            _bare(best(task)),
        )
    return table


def _bare(figure: str) -> str:
    return figure.removesuffix(PERCENT)


def _next(run_dir: Path, config: Config, console: Console, proof: str | None) -> None:
    page = run_dir / "report" / "index.html"
    languages = ",".join(config.corpus.languages) or "lv,et"
    console.print()
    if proof:
        _paragraph(console, Text("Proof   ", style="bold"), Text(proof, style="green"), 0)
    if page.is_file():
        path = Text(_near(page), style=f"link {page.resolve().as_uri()}")
    else:
        path = Text("n/a: it has not been written", style="yellow")
    console.print(Text("Report  ", style="bold").append_text(path), soft_wrap=True)
    console.print(
        Text("Next    ", style="bold").append(f"eurolm init mine --text DIR --languages {languages}", "not bold")
    )
    console.print("        eurolm run mine.yaml")


def _near(path: Path) -> str:
    """The path as one would type it here."""
    here = os.path.relpath(path)
    return str(path) if here.startswith("..") else here
