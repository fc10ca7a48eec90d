"""`eurolm tokenizer …`: tools for vocabularies; one file per subcommand."""

from __future__ import annotations

import click

from eurolm.cli.tokenizer_score import score


@click.group()
def tokenizer() -> None:
    """Compare tokenizers."""


tokenizer.add_command(score)
