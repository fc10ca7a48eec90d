"""The comparison as tables for a terminal of 80 columns or more. A star marks a difference beyond its interval."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from eurolm.tokenizer.scoring.intervals import Figure
from eurolm.tokenizer.scoring.score import Scores

NOT_MEASURED = "n/a"
LOST = "!"
NAME_COLUMNS = 18


def print_scores(scores: Scores, console: Console | None = None) -> None:
    """Print every table that there are figures for, to stdout unless a console is given."""
    console = console or Console()
    for table in tables(scores):
        console.print(table)
        console.print()
    first = scores.tokenizers[0].name
    notes = ["± half of the 95 % interval (bootstrap over groups of documents)."]
    if len(scores.tokenizers) > 1:
        notes.append(f"* differs from {first} beyond the interval of the paired difference.")
    if any(any(one.texts_lost.values()) for one in scores.tokenizers):
        notes.append(f"{LOST} loses text (see the warnings): what is lost costs nothing, its figures flatter it.")
    console.print("\n".join(notes), style="dim", highlight=False)


def as_text(scores: Scores, columns: int) -> str:
    """The tables as plain text of that width."""
    stream = io.StringIO()
    print_scores(scores, Console(file=stream, width=columns, no_color=True))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def tables(scores: Scores) -> Iterator[Table]:
    """One table per subject."""
    yield _tokenizers(scores)
    if scores.figures:
        yield _cost(scores)
        yield _structure(scores)
    if scores.parity:
        yield _parity(scores)
    if scores.boundaries:
        yield _boundaries(scores)
    if scores.trial:
        yield _trial(scores.trial)


def figure(one: Figure, digits: int = 3, scale: float = 1.0) -> str:
    """`1.981 ±0.021*`."""
    if one.value is None:
        return NOT_MEASURED
    star = "*" if one.beyond else ""
    half = "" if one.low is None or one.high is None else f" ±{scale * (one.high - one.low) / 2:.{digits}f}"
    return f"{scale * one.value:.{digits}f}{half}{star}"


def _table(title: str, columns: list[str], caption: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", caption=caption, caption_justify="left",
                  box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))  # fmt: skip
    for number, column in enumerate(columns):
        name = column in ("tokenizer", "lang", "kind")
        table.add_column(column, justify="left" if name else "right", no_wrap=number > 0, overflow="fold")
    return table


def _rows(
    table: Table, by_language: dict[str, dict[str, Any]], names: list[str], cells: Callable[[Any], list[str]]
) -> Table:
    """A block of rows per language, a row per tokenizer."""
    for language, by_name in by_language.items():
        for place, name in enumerate(names):
            if name in by_name:
                table.add_row(language if place == 0 else "", _short(name), *cells(by_name[name]))
        table.add_section()
    return table


def _short(name: str) -> str:
    return name if len(name) <= NAME_COLUMNS else f"{name[:9]}…{name[9 - NAME_COLUMNS + 1 :]}"


def _names(scores: Scores) -> list[str]:
    return [one.name for one in scores.tokenizers]


def _tokenizers(scores: Scores) -> Table:
    table = _table("Tokenizers", ["tokenizer", "kind", "vocabulary", "MB/CPU-s", "texts returned"])
    documents = sum(text.documents for text in scores.texts.values())
    for one in scores.tokenizers:
        lost = sum(one.texts_lost.values())
        speed = NOT_MEASURED if one.mb_per_cpu_s is None else f"~{one.mb_per_cpu_s:.2g}"
        returned = f"{documents - lost:,} of {documents:,}{LOST * bool(lost)}"
        table.add_row(_short(one.name), one.kind, f"{one.vocab_size:,}", speed, returned)
    return table


def _cost(scores: Scores) -> Table:
    table = _table(
        "What the text costs",
        ["lang", "tokenizer", "tokens/word", "to first", "bytes/token", "chars/token"],
        "; ".join(
            f"{code}: {text.documents:,} documents in {text.groups:,} groups, {text.bytes / 1e6:.2f} MB"
            for code, text in scores.texts.items()
        ),
    )

    def cells(metrics: dict[str, Figure]) -> list[str]:
        own = metrics["tokens_per_word"]
        apart = "" if own.difference is None or own.value is None else _percent_apart(own)
        return [
            figure(own),
            apart,
            figure(metrics["bytes_per_token"], 2),
            figure(metrics["characters_per_token"], 2),
        ]

    return _rows(table, scores.figures, _names(scores), cells)


def _percent_apart(one: Figure) -> str:
    assert one.value is not None and one.difference is not None  # noqa: S101 - the caller looked
    first = one.value - one.difference
    return f"{100 * one.difference / first:+.1f} %" if first else NOT_MEASURED


def _structure(scores: Scores) -> Table:
    table = _table(
        "How words are cut",
        ["lang", "tokenizer", "continued", "1 token", "Rényi", "bytes", "used"],
        "All in %. continued: words of several tokens; 1 token: of the 10,000 most frequent words; Rényi: efficiency "
        "of order 2.5; bytes: tokens that hold no whole character; used: ids of the vocabulary",
    )

    def cells(metrics: dict[str, Figure]) -> list[str]:
        return [
            figure(metrics["continued_word_share"], 1, 100),
            figure(metrics["single_token_share"], 1, 100),
            figure(metrics["renyi_efficiency"], 1, 100),
            figure(metrics["byte_fallback_share"], 2, 100),
            figure(metrics["vocabulary_used"], 1, 100),
        ]

    return _rows(table, scores.figures, _names(scores), cells)


def _parity(scores: Scores) -> Table:
    assert scores.parallel is not None  # noqa: S101 - there is no parity without parallel text
    facts = scores.parallel
    table = _table(
        "The same content in each language",
        ["tokenizer", "lang", "tokens", "to best", "beyond characters"],
        f"{facts.rows:,} parallel rows in {facts.groups:,} groups; beyond characters: "
        "|ln token ratio| − |ln character ratio|, 0 or less is fair",
    )
    for name, found in scores.parity.items():
        ranked = sorted(found.languages.items(), key=lambda item: item[1].tokens)
        for place, (code, one) in enumerate(ranked):
            best = code == found.best
            table.add_row(
                _short(name) if place == 0 else "",
                code,
                f"{one.tokens:,}",
                "1" if best else figure(one.ratio),
                "" if best else figure(one.excess),
            )
        table.add_section()
    return table


def _boundaries(scores: Scores) -> Table:
    table = _table(
        "Cuts at morpheme boundaries",
        ["lang", "tokenizer", "precision", "recall", "F1", "random", "cuts/word"],
        "In %. random: F1 of a random split with as many cuts in each word; "
        + "; ".join(
            f"{code}: {one.judged:,} of {one.given:,} words are concatenative ({100 * one.coverage:.0f} %)"
            for code, one in scores.segmentations.items()
        ),
    )

    def cells(one: Any) -> list[str]:
        return [
            figure(one.precision, 1, 100),
            figure(one.recall, 1, 100),
            _percent(one.f1),
            _percent(one.random_f1),
            f"{one.cuts_per_word:.2f}",
        ]

    return _rows(table, scores.boundaries, _names(scores), cells)


def _percent(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{100 * value:.1f}"


def _trial(trial: dict[str, Any]) -> Table:
    table = _table(
        "The same small model on each tokenizer",
        ["lang", "tokenizer", "bits/byte", "tokens", "embedding", "CPU-s"],
        f"{trial['bytes'] / 1e6:.2f} MB of text each ({trial['epochs']:.2g} times the text there is); "
        f"equal: {trial['equal']}",
    )
    names = list(trial["tokenizers"])

    def cells(entry: tuple[Figure, dict[str, Any]]) -> list[str]:
        own, facts = entry
        return [figure(own), f"{facts['tokens']:,}", f"{facts['embedding_parameters']:,}", f"{facts['cpu_s']:,.0f}"]

    by_language = {
        code: {name: (Figure(**by_name[name]), trial["tokenizers"][name]) for name in names}
        for code, by_name in trial["bits_per_byte"].items()
    }
    return _rows(table, by_language, names, cells)
