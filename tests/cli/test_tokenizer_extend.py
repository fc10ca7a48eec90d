from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from tests.tokenizer.extension.bases import english, own, sample

from eurolm.cli.tokenizer_extend import extend
from eurolm.errors import ConfigError, EurolmError


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own("lv", 1500, tmp_path_factory.mktemp("cli") / "base")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    extend.main(list(arguments), standalone_mode=False)
    captured = capsys.readouterr()
    return captured.out, captured.err


def arguments(base: Path, place: Path) -> list[str]:
    texts = [one for path in sample("et") if "bill_summaries" in path for one in ("--text", path)]
    return [str(base), *texts, "--add", "200", "--out", str(place / "out")]


def test_a_person_is_told_what_was_gained_and_what_was_changed(
    capsys: pytest.CaptureFixture[str], base: Path, tmp_path: Path
) -> None:
    out, _ = run(capsys, *arguments(base, tmp_path), "--protect", f"en={english(tmp_path / 'e.txt')}")
    assert "1,500 tokens, 200 new, 0 gone: 1,700 (embedding rows: 1,792)" in out
    assert "fewer tokens on the text learnt from" in out
    assert "en, protected: " in out and "0 into more tokens" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "extension.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_json_is_one_line_without_the_long_table(
    capsys: pytest.CaptureFixture[str], base: Path, tmp_path: Path
) -> None:
    (tmp_path / "odd.jsonl").write_text('{"title": 1}\n{"text": "sõna"}\n')
    given = [
        *arguments(base, tmp_path),
        "--text",
        f"et={tmp_path}/odd.jsonl",
        "--multiple-of",
        "64",
        "--weight",
        "et=2",
    ]
    out, err = run(capsys, *given, "--json")
    told = json.loads(out)
    assert told["vocab_size"] == 1700 and told["padded_vocab_size"] == 1728 and "new_tokens" not in told
    assert "1 records without text were passed over" in json.loads(err)["message"]


@pytest.mark.parametrize(
    ("more", "message"),
    [(["--weight", "et"], "give LANGUAGE=NUMBER"), (["--text", "et=none"], "et=none does not exist")],
)
def test_mistakes_are_named(base: Path, tmp_path: Path, more: list[str], message: str) -> None:
    with pytest.raises(EurolmError, match=message):
        extend.main([*arguments(base, tmp_path), *more], standalone_mode=False)
    assert not (tmp_path / "out").exists()


def test_an_existing_directory_is_left_alone(base: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="out exists already"):
        extend.main(arguments(base, tmp_path), standalone_mode=False)
    with pytest.raises(click.UsageError):
        extend.main([str(base), "--add", "0", "--text", "x", "--out", "y"], standalone_mode=False)
