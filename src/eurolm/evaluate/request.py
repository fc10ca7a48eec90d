"""What is evaluated, checked before a model is loaded: the run's own stage and `eurolm evaluate` ask the same way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from eurolm.config.architecture import ModelConfig
from eurolm.config.evaluate import EvaluateConfig
from eurolm.config.model import Config
from eurolm.corpus.documents import languages
from eurolm.corpus.forget import NOTHING, Forgotten
from eurolm.errors import ConfigError, InputError
from eurolm.evaluate.asked import Asked, asked
from eurolm.evaluate.contamination import Hits, read_hits
from eurolm.evaluate.suites import Choice, chosen
from eurolm.evaluate.text import HeldoutText, choose_text
from eurolm.scoring.encoding import declared_context
from eurolm.scoring.ranks import ALONE, Ranks
from eurolm.tasks.chat import as_chat, chat_of

Backend = Literal["eurolm", "lm-eval"]
"""Who scores the tasks: eurolm, or lm-evaluation-harness on the same prompts."""
WINDOW_TOKENS = 2048
"""Window for bits per byte of a model without a run, where its context is not shorter."""


@dataclass(frozen=True)
class Request:
    """One model, where its results go, and what it is asked."""

    model: Path
    place: Path
    config: EvaluateConfig
    choices: dict[str, Choice]
    window: int
    corpus: Path | None = None
    """Whose contamination hits are read, and with `heldout` its held-out text is scored."""
    heldout: bool = False
    start: ModelConfig | None = None
    """The model before its first step, scored beside where it is known."""
    forgotten: Forgotten = NOTHING
    step: int | None = None
    chat: bool = False
    backend: Backend = "eurolm"
    ranks: Ranks = field(default=ALONE, repr=False)


@dataclass(frozen=True)
class Material:
    """All that is scored, read and checked."""

    texts: list[HeldoutText]
    tasks: list[Asked]
    hits: Hits
    stride: int


def of_run(config: Config, model: Path, corpus: Path | None, run_dir: Path) -> Request:
    """What the evaluate stage of a run asks of its finished model."""
    return Request(
        model=model,
        place=run_dir / "evaluation",
        config=config.evaluate,
        choices=chosen(config.evaluate),
        window=window_tokens(config),
        corpus=corpus,
        heldout=corpus is not None,
        start=config.model,
        forgotten=Forgotten.load(config.corpus.forget),
    )


def of_model(
    model: Path,
    place: Path,
    config: EvaluateConfig,
    corpus: Path | None = None,
    step: int | None = None,
    choices: dict[str, Choice] | None = None,
) -> Request:
    """What any model is asked: tasks (`choices`, else those of the config), and nothing that needs its run."""
    declared = declared_context(model)
    window = config.context_tokens or min(declared or WINDOW_TOKENS, WINDOW_TOKENS)
    return Request(model, place, config, chosen(config) if choices is None else choices, window, corpus, step=step)


def window_tokens(config: Config) -> int:
    """`evaluate.context_tokens`, else the row length of the last phase, else the context the model declares."""
    if config.evaluate.context_tokens is not None:
        return config.evaluate.context_tokens
    if config.mixture.phases:
        return config.mixture.phases[-1].row_tokens
    return config.model.max_position_tokens


def gather(request: Request) -> Material:
    """Read items and text. Raises ConfigError for an unknown task or an impossible window, InputError for damaged
    items or a corpus without held-out text."""
    config, window = request.config, request.window
    stride = config.stride_tokens or max(1, window // 2)
    if stride > window:
        raise ConfigError(f"evaluate.stride_tokens = {stride} is longer than the window of {window} tokens.")
    tasks = asked(request.choices, config.seed)
    if request.chat:
        tasks = [_as_chat(task, request.model) for task in tasks]
    texts = _texts(request) if request.heldout and request.corpus is not None else []
    declared = declared_context(request.model)
    if declared is not None and window > declared:
        raise ConfigError(
            f"the evaluation window of {window} tokens is longer than the context of {declared} tokens that "
            f"{request.model} declares. Set evaluate.context_tokens to that or less."
        )
    return Material(texts, tasks, read_hits(request.corpus, config.hits), stride)


def _texts(request: Request) -> list[HeldoutText]:
    corpus, limit = request.corpus, request.config.heldout_max_bytes
    texts = (
        [choose_text(corpus, language, limit, request.forgotten) for language in languages(corpus)] if corpus else []
    )
    if not any(text.documents for text in texts):
        raise InputError(
            f"{corpus} has no held-out text, so there is nothing to measure bits per byte on. "
            "Raise corpus.heldout.share, or add documents of more groups."
        )
    return texts


def _as_chat(task: Asked, model: Path) -> Asked:
    chat = chat_of(model)
    prompts = {name: [as_chat(prompt, chat) for prompt in found] for name, found in task.prompts.items()}
    return Asked(task.task, task.items, task.shots, prompts)
