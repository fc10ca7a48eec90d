"""`eurolm tokenizer extend BASE --text lv=F …`: more tokens for an existing BPE tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import ConfigError

SHOWN_EXAMPLES = 5


@click.command()
@click.argument("base", type=click.Path(path_type=Path))
@click.option(
    "--text",
    "texts",
    multiple=True,
    required=True,
    metavar="[LANGUAGE=]PATH",
    help="Text to learn from: .jsonl, .parquet, .txt (.zst, .gz) or a directory of them; may be repeated.",
)
@click.option("--add", required=True, type=click.IntRange(min=1), help="Tokens to add.")
@click.option(
    "--protect",
    multiple=True,
    metavar="[LANGUAGE=]PATH",
    help="Text whose words must be cut as before; may be repeated.",
)
@click.option(
    "--weight",
    "weights",
    multiple=True,
    metavar="LANGUAGE=NUMBER",
    help="Weight of a language's text; 1 each unless given.",
)
@click.option("--replace", is_flag=True, help="Keep the size: new tokens take the ids of tokens that no text uses.")
@click.option(
    "--multiple-of",
    default=128,
    show_default=True,
    type=click.IntRange(min=1),
    help="padded_vocab_size, the rows of a model's embedding, is a multiple of this.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory to write.")
@common
def extend(
    base: Path, texts: tuple[str, ...], add: int, protect: tuple[str, ...], weights: tuple[str, ...], replace: bool,
    multiple_of: int, out: Path, reporter: Reporter,
) -> None:  # fmt: skip
    """Add merges learnt on your text to the BPE tokenizer BASE (a directory, tokenizer.json or SentencePiece model).

    Old tokens keep their ids, and text without new tokens is encoded as before. extension.json names, for each new
    token, the old ones it is made of: the mean of their embeddings is a good start for its own.
    """
    from eurolm.tokenizer.extension.extend import Wish, extend

    wish = Wish(base, texts, add, protect, dict(map(_weight, weights)), replace, multiple_of)
    record = extend(wish, out)
    if reporter.mode == "json":
        click.echo(json.dumps({key: value for key, value in record.items() if key != "new_tokens"}, ensure_ascii=False))
    elif reporter.mode != "quiet":
        for line in told(record, out):
            click.echo(line)
    for language, text in [*record["text"].items(), *record["protected"].items()]:
        if text["records_without_text"]:
            reporter.warn(f"{language}: {text['records_without_text']:,} records without text were passed over.")
        if text["rare_strings_dropped"]:
            reporter.warn(f"{language}: {text['rare_strings_dropped']:,} occurrences of rare strings were not counted.")
    if record["unreached"]:
        reporter.warn(
            f"{len(record['unreached']):,} new tokens arise only inside longer text: {record['unreached'][:5]}"
        )


def _weight(given: str) -> tuple[str, float]:
    language, _, number = given.partition("=")
    try:
        return language, float(number)
    except ValueError:
        raise ConfigError(f"--weight {given}: give LANGUAGE=NUMBER, as in --weight lv=1.5.") from None


def told(record: dict[str, Any], out: Path) -> list[str]:
    """What was done, for a person."""
    added, removed = len(record["new_tokens"]), len(record["removed"])
    lines = [
        f"{out}: {record['base']['vocab_size']:,} tokens, {added:,} new, {removed:,} gone: {record['vocab_size']:,} "
        f"(embedding rows: {record['padded_vocab_size']:,})",
        *(
            f"  {language}: {text['fewer']:.1%} fewer tokens on the text learnt from "
            f"({text['tokens_before']:,} → {text['tokens_after']:,})"
            for language, text in record["text"].items()
        ),
    ]
    for language, text in record["protected"].items():
        lines.append(
            f"  {language}, protected: {text['words_changed']:,} of {text['words']:,} words and "
            f"{text['word_forms_changed']:,} of {text['word_forms']:,} word forms are cut differently, "
            f"{text['word_forms_longer']:,} into more tokens"
        )
        lines += [
            f"    {example['word']}: {' '.join(example['before'])} → {' '.join(example['after'])}"
            for example in text["examples"][:SHOWN_EXAMPLES]
        ]
    return lines
