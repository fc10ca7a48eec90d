"""Curves of checkpoints: read in order, drawn from two on, and nothing is shown for what cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.report.html_page import Page
from tests.report.run_directory import ROW_TOKENS, ROWS

from eurolm.config.model import Config
from eurolm.report.curves_view import curves_chart, read_checkpoints


def test_checkpoints_are_read_along_the_tokens(run_dir: Path, config: Config) -> None:
    found = read_checkpoints(run_dir, config.mixture)
    assert [each.tokens for each in found] == [20 * ROWS * ROW_TOKENS, 40 * ROWS * ROW_TOKENS]
    values = [each.results.tasks["scala-lv"].scores["accuracy_equal_bytes"].figure.value for each in found]
    assert values == [0.5123, 0.5456]
    drawn = curves_chart(found)
    assert drawn is not None and "scala-lv 0.512 to 0.546" in drawn
    assert curves_chart(found[:1]) is None
    assert "While it learned" in Page.of(run_dir).text


def test_a_damaged_checkpoint_leaves_a_gap(run_dir: Path, config: Config, tmp_path: Path) -> None:
    shutil.copytree(run_dir / "evaluation", tmp_path / "evaluation")
    (tmp_path / "evaluation" / "step-00000020" / "results.json").write_text("{")
    assert len(read_checkpoints(tmp_path, config.mixture)) == 1
