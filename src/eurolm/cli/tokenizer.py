"""`eurolm tokenizer …`: tools for vocabularies; one file per subcommand."""

from __future__ import annotations

import click

from eurolm.cli.tokenizer_extend import extend
from eurolm.cli.tokenizer_score import score


@click.group()
def tokenizer() -> None:
    """Compare tokenizers; extend one."""


tokenizer.add_command(score)
tokenizer.add_command(extend)
