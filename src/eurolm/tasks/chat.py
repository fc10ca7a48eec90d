"""Prompts as conversations for instruct models, by the chat template that lies beside their tokenizer.

The template is Jinja, run in a sandbox with the settings and names that `transformers` gives it, without loading
`transformers`. It writes special tokens itself; where it writes no BOS, that of the tokenizer's own rule comes before
the text, as in lm-evaluation-harness. Templates that write today's date are given one that never changes, so that a
score is the same tomorrow.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from eurolm.errors import ConfigError, InputError
from eurolm.tasks.prompts import Prompt, Turn

TODAY = date(2024, 7, 26)
"""The date that Llama 3's template takes where it is told none."""
Chat = Callable[[Sequence[Turn]], str]
"""Conversation → text that ends where the assistant begins to speak."""


def chat_of(directory: Path) -> Chat:
    """The chat template of a tokenizer directory: `chat_template.jinja`, else `tokenizer_config.json`.

    Raises ConfigError for a tokenizer without one, InputError for damaged files or a template that refuses the turns.
    """
    config = _config(directory / "tokenizer_config.json")
    source = _source(directory, config)
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    environment.globals |= {"raise_exception": _refuse, "strftime_now": TODAY.strftime}
    try:
        template = environment.from_string(source)
    except TemplateError as error:
        raise InputError(f"{directory}: its chat template is not valid Jinja: {error}") from None
    specials = {name: _token(value) for name, value in config.items() if name.endswith("_token")}

    def render(turns: Sequence[Turn]) -> str:
        messages = [dataclasses.asdict(turn) for turn in turns]
        try:
            return template.render(
                messages=messages, add_generation_prompt=True, tools=None, documents=None, **specials
            )
        except TemplateError as error:
            raise InputError(f"{directory}: its chat template refuses the conversation: {error}") from None

    return render


def as_chat(prompt: Prompt, chat: Chat) -> Prompt:
    """The same question as a conversation; answers begin without a space. Without a context it stays as it is."""
    if not prompt.turns:
        return prompt
    choices = tuple(choice.lstrip() for choice in prompt.choices)
    return dataclasses.replace(prompt, context=chat(prompt.turns), choices=choices, unconditional=None)


def _source(directory: Path, config: Mapping[str, Any]) -> str:
    file = directory / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    stated = config.get("chat_template")
    if isinstance(stated, list):
        stated = {entry.get("name"): entry.get("template") for entry in stated}.get("default")
    if not isinstance(stated, str):
        raise ConfigError(
            f"{directory} has no chat template (chat_template.jinja, or chat_template in tokenizer_config.json): "
            "a base model is asked without one."
        )
    return stated


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path} is not a JSON object.")
    return config


def _token(value: Any) -> str | None:
    content = value.get("content") if isinstance(value, Mapping) else value
    return content if isinstance(content, str) else None


def _refuse(message: str) -> None:
    raise TemplateError(message)
