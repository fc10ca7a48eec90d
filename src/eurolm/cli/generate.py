"""`eurolm generate RUN|MODEL --prompt …`: continue a prompt."""

from __future__ import annotations

import json
from pathlib import Path

import click

from eurolm.cli.options import common
from eurolm.console import Reporter
from eurolm.errors import InputError


@click.command()
@click.argument("source", metavar="RUN|MODEL")
@click.option("--prompt", "prompts", multiple=True, required=True, help="Text to continue; may be repeated.")
@click.option("--max-tokens", default=80, show_default=True, type=click.IntRange(min=1), help="Tokens to add.")
@click.option("--temperature", default=0.8, show_default=True, type=click.FloatRange(min=0), help="0 is greedy.")
@click.option("--top-k", default=50, show_default=True, type=click.IntRange(min=1), help="Choose among this many.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same text.")
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@common
def generate(
    source: str,
    prompts: tuple[str, ...],
    max_tokens: int,
    temperature: float,
    top_k: int,
    seed: int,
    workspace: Path,
    reporter: Reporter,
) -> None:
    """Continue prompts with the model of a RUN (its name or directory) or with a Hugging Face MODEL directory."""
    place = model_directory(source, workspace)
    from eurolm.evaluate.subject import choose_device, model_in
    from eurolm.scoring.encoding import opening
    from eurolm.scoring.generate import generate as continue_prompts
    from eurolm.tokenizer.load import load

    tokenizer = load(place)
    texts = continue_prompts(
        model_in(place, tokenizer, choose_device()),
        tokenizer,
        list(prompts),
        max_tokens,
        seed,
        temperature=temperature,
        top_k=top_k,
        opens=opening(place, tokenizer),
    )
    for prompt, text in zip(prompts, texts, strict=True):
        if reporter.mode == "json":
            click.echo(json.dumps({"prompt": prompt, "text": text}, ensure_ascii=False))
        else:
            click.echo(f"{click.style(prompt, bold=True)}{text}")


def model_directory(source: str, workspace: Path) -> Path:
    """The model directory meant by a run's name, a run directory or a model directory. Raises InputError."""
    candidates = [workspace / "runs" / source / "model", Path(source) / "model", Path(source)]
    for place in candidates:
        if (place / "config.json").is_file():
            return place
    raise InputError(
        f"{source} is neither a finished run in {workspace / 'runs'} nor a model directory with a config.json."
    )
