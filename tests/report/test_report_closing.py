"""The closing screen: real figures, legible with and without colours, nothing where a file is missing."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from tests.report.run_directory import SCORES

from eurolm.config.model import Config
from eurolm.report import pieces
from eurolm.report.closing import closing_screen
from eurolm.report.pieces import HOW_TO_GET_MISTRAL
from eurolm.report.sentences import sentences
from eurolm.tokenizer.load import load

PROOF = "killed training at step 312 and resumed: 337 of 337 losses identical bit for bit"


def log_of(run_dir: Path, config: Config, proof: str | None = None, width: int = 80) -> str:
    """The screen as a log file gets it."""
    stream = io.StringIO()
    closing_screen(run_dir, config, Console(file=stream, width=width, highlight=False), proof)
    return stream.getvalue()


def words(text: str) -> str:
    return " ".join(text.replace("\u00a0", " ").split())


def test_figures_are_those_of_the_run(run_dir: Path, config: Config) -> None:
    log = words(log_of(run_dir, config, PROOF))
    assert PROOF in log
    value, low, high, three, five = SCORES["lv"]
    assert f"Latvian {value:.3f} {low:.3f}–{high:.3f} {five:.3f} {three:.3f} 4.654" in log
    value, _, _, three, five = SCORES["et"]
    assert f"Estonian {value:.3f} n/a {five:.3f} {three:.3f} 4.654" in log
    assert "scala-lv 358 56.8 51.8–61.8 always the fewest tokens, 52.1" in log
    assert "scala-lv: pairs of equal length, not told apart from the best baseline" in log
    assert "start, step 0" in log and "⅓, step 14 Rīga un ir" in log
    assert "end, step 40 Rīga ir Latvijas galvaspilsēta." in log
    assert "eurolm init mine --text DIR --languages lv,et eurolm run mine.yaml" in log
    assert "report/index.html" in log


@pytest.mark.parametrize("width", [80, 132])
def test_a_log_is_plain_and_fits(run_dir: Path, config: Config, width: int) -> None:
    log = log_of(run_dir, config, PROOF, width)
    assert "\x1b" not in log
    for line in log.splitlines():
        assert line == line.rstrip()
        assert len(line) <= width or "report/index.html" in line, line


def test_tokens_are_separated_without_colours_and_tinted_with_them(run_dir: Path, config: Config) -> None:
    own, log = load(run_dir / "tokenizer"), log_of(run_dir, config, width=200)
    console = Console(record=True, force_terminal=True, color_system="truecolor", width=200, file=io.StringIO())
    closing_screen(run_dir, config, console, None)
    coloured = console.export_text(styles=True)
    for sentence in sentences(run_dir, config):
        pieces = [own.decode([token]) for token in own.encode(sentence.text)]
        assert sentence.text in re.sub(r"\x1b\[[\d;]*m", "", coloured)
        assert f"{len(pieces)} tokens" in log
        assert sentence.text.split()[0] not in pieces and "·" in next(
            line for line in log.splitlines() if line.strip().replace("·", "") == sentence.text
        )
    assert "·" not in coloured
    assert len(set(re.findall(r"48;2;(\d+;\d+;\d+)", coloured))) == 5


def test_another_tokenizer_stands_beside(run_dir: Path, config: Config, tmp_path: Path) -> None:
    report = config.report.model_copy(
        update={
            "compare_tokenizers": [run_dir / "tokenizer", tmp_path / "absent.model"],
        }
    )
    log = words(log_of(run_dir, config.model_copy(update={"report": report}), width=200))
    counts = [len(load(run_dir / "tokenizer").encode(sentence.text)) for sentence in sentences(run_dir, config)]
    assert len(counts) == 2
    for language, count in zip(("Latvian", "Estonian"), counts, strict=True):
        assert f"{language} tokenizer {count} → {count} tokens" in log
    assert "n/a: report.compare_tokenizers:" in log and "absent.model" in log
    assert HOW_TO_GET_MISTRAL not in log


def test_nothing_but_a_hint_about_a_tokenizer_that_is_not_here(
    run_dir: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "mistral", lambda: None)
    log = words(log_of(run_dir, config))
    assert HOW_TO_GET_MISTRAL in log and "→" not in log


def test_no_figure_where_the_file_is_missing(config: Config, without: Callable[..., Path]) -> None:
    place = without("evaluation", "samples.jsonl", "report", "corpus", "tokenizer")
    log = log_of(place, config)
    assert "n/a: evaluation/results.json is missing" in words(log)
    assert "n/a: samples.jsonl is missing" in words(log)
    assert "Report  n/a" in log and "Proof" not in log
    assert not re.search(r"\d", log.replace(str(place), ""))


def test_a_model_cannot_speak_to_the_terminal(run_dir: Path, config: Config) -> None:
    console = Console(record=True, force_terminal=True, color_system="truecolor", width=80, file=io.StringIO())
    closing_screen(run_dir, config, console, None)
    assert "\x1b" not in console.export_text(styles=False)
    assert "x<script>9" in words(log_of(run_dir, config))
