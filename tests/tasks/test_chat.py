"""Chat templates: the same text as transformers makes of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from tests.tasks.making import carried

from eurolm.errors import ConfigError, InputError
from eurolm.tasks.chat import as_chat, chat_of
from eurolm.tasks.prompts import Prompt, prompts

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim + "
    "'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MISTRAL = """{{ bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}
    {%- if message['role'] == 'user' %}
        {{- '[INST] ' + message['content'] + ' [/INST]' }}
    {%- else %}
        {{- ' ' + message['content'] + eos_token }}
    {%- endif %}
{%- endfor %}
"""


def directory_with(path: Path, template: str, where: str) -> Path:
    config = {"bos_token": {"content": "<s>"}, "eos_token": "</s>"}
    path.mkdir()
    if where == "file":
        (path / "chat_template.jinja").write_text(template)
    else:
        named = [{"name": "rag", "template": "x"}, {"name": "default", "template": template}]
        config["chat_template"] = named if where == "list" else template
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    return path


def asked(shots: int) -> Prompt:
    task, found = carried("mmlu-lv")
    return prompts(task, found[:30], "burti-ievads", shots)[0]


@pytest.mark.parametrize("where", ["file", "config", "list"])
@pytest.mark.parametrize("template", [CHATML, MISTRAL], ids=["chatml", "mistral"])
def test_chats_are_those_of_transformers(tmp_path: Path, template: str, where: str) -> None:
    utils = pytest.importorskip("transformers.utils.chat_template_utils")
    prompt = asked(2)
    turns = [dataclasses.asdict(turn) for turn in prompt.turns]
    specials = {"bos_token": "<s>", "eos_token": "</s>"}
    expected, _ = utils.render_jinja_template([turns], chat_template=template, add_generation_prompt=True, **specials)
    chat = as_chat(prompt, chat_of(directory_with(tmp_path / "tokenizer", template, where)))
    assert chat.context == expected[0]
    assert chat.choices == ("A", "B", "C", "D") and chat.gold == prompt.gold


def test_what_stands_without_a_question_stays_as_it_is(tmp_path: Path) -> None:
    task, found = carried("scala-lv")
    prompt = prompts(task, found[:1])[0]
    assert as_chat(prompt, chat_of(directory_with(tmp_path / "tokenizer", CHATML, "file"))) == prompt


def test_a_tokenizer_without_or_with_a_broken_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no chat template .* a base model is asked without one"):
        chat_of(tmp_path)
    with pytest.raises(InputError, match="not valid Jinja"):
        chat_of(directory_with(tmp_path / "broken", "{% for %}", "file"))
    refusing = chat_of(directory_with(tmp_path / "refusing", "{{ raise_exception('never') }}", "file"))
    with pytest.raises(InputError, match="refuses the conversation: never"):
        as_chat(asked(0), refusing)
