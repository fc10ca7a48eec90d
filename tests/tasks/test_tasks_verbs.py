"""`eurolm tasks list|show|export` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.tasks.making import lines

from eurolm.cli.main import cli
from eurolm.errors import ConfigError
from eurolm.tasks.load import fetched_names, task_names


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["tasks", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_list_names_every_task_with_its_facts() -> None:
    rows = {row["task"]: row for row in map(json.loads, run("list", "--json").splitlines())}
    assert set(rows) == {*task_names(), *fetched_names()}
    assert rows["copa-lv"]["items"] == 379 and rows["copa-lv"]["best baseline"] == 0.521
    assert rows["scala-lv"]["written"] == "generated" and rows["scala-lv"]["reviewed by"] == "nobody yet"


def test_show_prints_the_exact_prompt_its_tokens_and_the_right_answer(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    letters = {sign: place for place, sign in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab={**letters, "<|endoftext|>": len(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    (tmp_path / "mine.jsonl").write_bytes(
        lines({"id": "x", "premise": "Lija.", "choice1": "Mitrs.", "choice2": "Tā.", "question": "effect", "label": 0})
    )
    shown = run("show", "copa-lv", "--items", str(tmp_path / "mine.jsonl"), "--tokenizer", str(tmp_path))
    assert "Lija, tāpēc\n  ✓ ' mitrs.'  7 tokens: ' |m|i|t|r|s|.'\n    ' tā.'" in shown
    assert "  context  13 tokens: 'L|i|j|a|" in shown
    assert "all items: https://github.com/LUMII-AILab/VTI-Data at 80bff53e0245" in shown
    assert "baselines: uniform 0.5" in shown and "template: savienojums of savienojums, jautajums, burti" in shown
    (tmp_path / "chat_template.jinja").write_text("{% for turn in messages %}<{{ turn.content }}>{% endfor %}=")
    chat = run("show", "copa-lv", "--items", str(tmp_path / "mine.jsonl"), "--tokenizer", str(tmp_path), "--chat")
    assert "<Lija, tāpēc>=\n  ✓ 'mitrs.'" in chat
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", len(letters))]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    opened = run("show", "copa-lv", "--items", str(tmp_path / "mine.jsonl"), "--tokenizer", str(tmp_path))
    assert "  context  14 tokens: '<|endoftext|>|L|i|j|a|" in opened
    pair = run("show", "scala-lv", "-n", "1", "--tokenizer", str(tmp_path))
    assert pair.endswith("  before it  1 token: '<|endoftext|>'\n")


def test_show_as_json_holds_the_whole_prompt() -> None:
    rows = [json.loads(line) for line in run("show", "estner-v1-et", "-n", "2", "--shots", "1", "--json").splitlines()]
    assert len(rows) == 2
    assert rows[0]["context"].endswith("Nimeüksused:") and rows[0]["stop"] == ["\n"]
    assert [turn["role"] for turn in rows[0]["turns"]] == ["user", "assistant", "user"]


def test_export_writes_what_was_asked_for(tmp_path: Path) -> None:
    said = run("export", str(tmp_path), "copa-lv", "sib200-et", "--template", "all", "--limit", "5")
    names = {"copa-lv", "copa-lv-jautajums", "copa-lv-burti", "sib200-et", "sib200-et-kysimus"}
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}{end}" for name in names for end in (".yaml", ".jsonl")
    }
    assert (tmp_path / "copa-lv.jsonl").read_text().count("\n") == 5
    assert "--model hf --model_args pretrained=MODEL --include_path . --tasks copa-lv,copa-lv-jautajums," in said
    said = run("export", str(tmp_path / "more"), "copa-lv", "flores-lv", "--limit", "2")
    assert "pretrained=MODEL --include_path . --tasks copa-lv\n" in said
    assert "pretrained=MODEL,add_bos_token=False --include_path . --tasks flores-lv\n" in said
    rows = [json.loads(line) for line in run("export", str(tmp_path), "copa-lv", "--json").splitlines()]
    assert rows[0]["file"] == str(tmp_path / "copa-lv.yaml")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "copa-vl"), "Did you mean copa-lv"),
        (("show", "copa-lv", "--chat"), "--chat needs the tokenizer"),
        (("export", "/nowhere", "--items", "x"), "--items belongs to one task"),
    ],
)
def test_mistakes_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said):
        CliRunner().invoke(cli, ["tasks", *arguments], catch_exceptions=False)
