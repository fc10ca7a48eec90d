from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tokenizer.scoring.making import byte_level, rank_file, sample, sentencepiece_model

from eurolm.cli import main as command_line
from eurolm.cli.tokenizer import tokenizer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("score")
    lv, et = list(sample("lv", 80)), list(sample("et", 80))
    own = byte_level(500, lv + et, out / "own" / "tokenizer.json")
    rank_file(own, out / "r50k_base.tiktoken")
    sentencepiece_model(lv, out / "latvian.model", model_type="unigram", byte_fallback=True)
    records = [{"text": text, "lang": code} for code, texts in (("lv", lv), ("et", et)) for text in texts]
    (out / "text.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    rows = "".join(f"{a.splitlines()[0]}\t{b.splitlines()[0]}\n" for a, b in zip(lv, et, strict=True))
    (out / "parallel.tsv").write_text(f"lv\tet\n{rows}")
    (out / "gold.tsv").write_text("".join(f"{word}s\t{word} s\n" for word in ("māja", "diena", "valoda") for _ in "xy"))
    (out / "words.txt").write_text("un\nir\nzzqxj\n")
    return out


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str, expect: int = 0
) -> tuple[str, str]:
    """`eurolm tokenizer score …` in this process: (stdout, stderr)."""
    monkeypatch.setitem(command_line.VERBS, "tokenizer", ("eurolm.cli.tokenizer", "tokenizer", "Compare tokenizers."))
    monkeypatch.setenv("COLUMNS", "90")
    code = 0
    try:
        command_line.main(["tokenizer", "score", *arguments])
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    captured = capsys.readouterr()
    assert code == expect, captured.err
    return captured.out, captured.err


def test_the_group_has_the_subcommand() -> None:
    assert "score" in tokenizer.commands


def test_three_makes_are_compared_and_written(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = run(
        capsys, monkeypatch, str(place / "own"), str(place / "r50k_base.tiktoken"), str(place / "latvian.model"),
        "--text", str(place / "text.jsonl"), "--parallel", str(place / "parallel.tsv"), "--words",
        f"lv={place / 'words.txt'}", "--segmentation", f"lv={place / 'gold.tsv'}", "--plot",
        str(tmp_path / "p.svg"), "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert "What the text costs" in out
    assert "Cuts at morpheme boundaries" in out
    value = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert [one["kind"] for one in value["tokenizers"]] == ["tokenizers", "tiktoken", "sentencepiece"]
    for code in ("lv", "et"):
        same, tiktoken = value["figures"][code]["own"], value["figures"][code]["r50k_base.tiktoken"]
        assert {metric: figure["value"] for metric, figure in tiktoken.items()} == {
            metric: figure["value"] for metric, figure in same.items()
        }
        assert tiktoken["tokens_per_word"]["beyond"] is False
    assert value["figures"]["et"]["latvian"]["tokens_per_word"]["beyond"] is True
    assert value["figures"]["lv"]["own"]["single_token_share"]["value"] == pytest.approx(2 / 3)
    assert value["boundaries"]["lv"]["own"]["cuts_per_word"] > 0
    assert value["trial"] is None
    assert (tmp_path / "out" / "scores.svg").read_bytes() == (tmp_path / "p.svg").read_bytes()
    assert "What the text costs" in (tmp_path / "out" / "scores.txt").read_text()


def test_json_goes_to_stdout_and_parallel_text_alone_is_enough(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (str(place / "own"), "--parallel", str(place / "parallel.tsv"), "--json")
    first, second = (json.loads(run(capsys, monkeypatch, *arguments)[0]) for _ in range(2))
    assert set(first["figures"]) == {"lv", "et"}
    assert first["parity"]["own"]["languages"]["lv"]["ratio"]["value"] >= 1
    for value in (first, second):
        value["tokenizers"][0].pop("mb_per_cpu_s")
    assert first == second, "figures depend on nothing but tokenizers and text"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["own"], "Nothing to score on"),
        (["own", "--text", "words.txt"], r"does not say which language"),
        (["nothing", "--text", "text.jsonl"], r"nothing does not exist"),
        (["own", "--text", "text.jsonl", "--plot", "x.png"], "name it x.svg"),
        (["own", "--text", "text.jsonl", "--train", "5 minutes"], "90s, 5m, 1h"),
        (["own", "--text", "text.jsonl", "--words", "words.txt"], "say the language"),
        (["own", "--text", "text.jsonl", "--segmentation", "lv=words.txt"], "line 1: a line is a word"),
    ],
)
def test_mistakes_end_with_exit_2_and_no_traceback(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(place)
    out, err = run(capsys, monkeypatch, *arguments, expect=2)
    assert message in err
    assert "Traceback" not in err
    assert not out
