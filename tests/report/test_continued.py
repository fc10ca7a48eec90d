"""Bits per byte before, at the start and after, of a run that continues a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.report.html_page import Page
from tests.report.run_directory import END, STEPS
from tests.report.test_report_closing import log_of, words

from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.model.records import VocabularyRecord
from eurolm.report.stage import write_report
from eurolm.train.metrics import METRICS, write_line

RECORD = VocabularyRecord(False, 1024, 900, 120, 360, None, 4, ["<fim>"], 0, 32_000, 33_024)
MODEL = "/models/<b>base</b>"
BEFORE = {"lv": 4.654321, "en": 3.818181}


def continue_from(run_dir: Path, scores: dict[str, float] | None, left_out: str | None = None) -> Path:
    write_line(run_dir, METRICS, "initial", 0, samples=0, model=MODEL, vocabulary=asdict(RECORD))
    write_line(
        run_dir, METRICS, "original", 0, samples=0, model=MODEL, bits_per_byte=scores, left_out=left_out, seconds=1.0
    )
    return run_dir


def test_the_report_and_the_screen_show_all_three(without: Callable[..., Path], config: Config) -> None:
    run_dir = continue_from(without(), BEFORE)
    write_report(run_dir, config, Reporter("quiet"))
    text, log = Page.of(run_dir).text, words(log_of(run_dir, config))
    assert "Bits per byteBefore, with its own tokenizerAt the start of this trainingAfter step 40" in text
    for shown, gap in ((text, ""), (log, " ")):
        assert gap.join(["Latvian", "4.654", "5.500", f"{END['lv']:.3f}"]) in shown
        assert gap.join(["Estonian", "n/a", "5.250", f"{END['et']:.3f}"]) in shown
        assert gap.join(["English", "3.818", "n/a", "n/a"]) in shown
        assert "vocabulary of 1,024: 900 tokens keep their rows, 120 are means" in shown
    assert f"Continued from {MODEL}." in text
    figures = json.loads((run_dir / "report" / "report.json").read_bytes())["continued"]
    assert figures["bits_per_byte"]["lv"] == {"before": BEFORE["lv"], "at_start": 5.5, "after": END["lv"]}
    assert (figures["model"], figures["step"]) == (MODEL, STEPS)


def test_what_was_left_out_is_said(without: Callable[..., Path], config: Config) -> None:
    run_dir = continue_from(without(), None, "the original needs 99.0 GB beside the model in training")
    write_report(run_dir, config, Reporter("quiet"))
    assert "n/a: bits per byte before: the original needs 99.0 GB" in Page.of(run_dir).text
    assert "n/a: before: the original needs 99.0 GB" in words(log_of(run_dir, config))
    assert "Latviann/a5.500" in Page.of(run_dir).text


def test_a_run_of_its_own_weights_has_no_such_table(run_dir: Path, config: Config) -> None:
    assert "Before, with its own tokenizer" not in Page.of(run_dir).text
    assert "What continuing changed" not in log_of(run_dir, config)
    assert "continued" not in json.loads((run_dir / "report" / "report.json").read_bytes())
