"""`eurolm tokenizer score A B … --text F …`: what tokenizers of any make cost each language, side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import ConfigError

TABLE_COLUMNS = 100


@click.command()
@click.argument("tokenizers", metavar="TOKENIZER...", nargs=-1, required=True)
@click.option("--text", "texts", multiple=True, metavar="[LANG=]FILE", help="Held-out text; may be repeated.")
@click.option("--parallel", metavar="[LANG,LANG=]FILE", help="The same content in several languages, for parity.")
@click.option("--words", multiple=True, metavar="LANG=FILE", help="Words, most frequent first, one per line.")
@click.option("--segmentation", multiple=True, metavar="LANG=FILE", help="Morphemes: lines 'word TAB mor phs'.")
@click.option("--train", "budget", metavar="5m|4MB", help="Train a small model on each, so long or on so much text.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw fertility and parity.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write scores.json, .txt and .svg there.")
@common
def score(
    tokenizers: tuple[str, ...],
    texts: tuple[str, ...],
    parallel: str | None,
    words: tuple[str, ...],
    segmentation: tuple[str, ...],
    budget: str | None,
    plot: Path | None,
    out: Path | None,
    reporter: Reporter,
) -> None:
    """Compare TOKENIZERs: Hugging Face directories or tokenizer.json, runs, SentencePiece .model, .tiktoken files
    (FILE@REGEX where the name does not say which), tekken.json. NAME=PATH names one.

    Text is .txt (a document per block of lines), .jsonl[.zst|.gz], .parquet, a corpus or a run. Its language stands in
    its records or before the file: --text lv=FILE. Without --text the columns of --parallel are the text.
    """
    if not texts and not parallel:
        raise ConfigError("Nothing to score on. Give --text FILE, --parallel FILE, or both.")
    if plot is not None and plot.suffix != ".svg":
        raise ConfigError(f"--plot {plot}: the plot is an SVG file; name it {plot.with_suffix('.svg').name}.")
    from eurolm.tokenizer.scoring.boundaries import read_segmentation
    from eurolm.tokenizer.scoring.candidates import open_all
    from eurolm.tokenizer.scoring.score import score as score_all
    from eurolm.tokenizer.scoring.texts import read_frequent, read_parallel, read_texts

    candidates = open_all(tokenizers)
    rows = read_parallel(parallel) if parallel else None
    read = read_texts(texts) if texts else rows.texts() if rows else {}
    segmentations = [read_segmentation(given) for given in segmentation]
    train = _trial(budget, candidates, texts, read) if budget else None
    scores = score_all(candidates, read, rows, segmentations, read_frequent(words), reporter)
    if train:
        scores = scores.with_trial(train(reporter))
    _hand_over(scores, plot, out, reporter)


def _trial(budget: str, candidates: Any, texts: tuple[str, ...], read: Any) -> Callable[[Reporter], dict[str, Any]]:
    """What trains the models; whatever is wrong with budget or text is said now, before anything is measured."""
    from eurolm.evaluate.tokenizer_trial import run_trial
    from eurolm.evaluate.trial_text import parse_budget, trial_text

    plan, text = parse_budget(budget), trial_text(texts, read)
    return lambda reporter: run_trial(candidates, text, plan, reporter)


def _hand_over(scores: Any, plot: Path | None, out: Path | None, reporter: Reporter) -> None:
    from eurolm.artifacts.atomic import write_json, write_text
    from eurolm.tokenizer.scoring.plot import write_plot
    from eurolm.tokenizer.scoring.table import as_text, print_scores

    if plot:
        write_plot(scores, plot)
    if out:
        write_json(out / "scores.json", scores.as_json())
        write_text(out / "scores.txt", as_text(scores, TABLE_COLUMNS))
        write_plot(scores, out / "scores.svg")
    if reporter.mode == "json":
        click.echo(json.dumps(scores.as_json(), ensure_ascii=False))
    else:
        print_scores(scores)
