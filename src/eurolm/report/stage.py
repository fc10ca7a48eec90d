"""The report stage: read the run, write `report/index.html` and `report/report.json`."""

from __future__ import annotations

from pathlib import Path

from eurolm.artifacts.atomic import write_json, write_text
from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.report.figures import headline
from eurolm.report.inputs import METRICS, read_run
from eurolm.report.page import render_page
from eurolm.report.training import course


def write_report(run_dir: Path, config: Config, reporter: Reporter) -> Path:
    """Write the report of a run, finished or not, and return the path of the page.

    The same run directory gives the same bytes. What is missing is said in the page, in `report.json` and here.
    """
    files = read_run(run_dir, config)
    lines = files.lines(METRICS)
    went = course(lines, config.mixture) if lines else None
    figures = headline(config.name, files, went)
    page = run_dir / "report" / "index.html"
    write_json(page.with_name("report.json"), figures.as_json())
    write_text(page, render_page(files, config, went, figures))
    for name, reason in files.missing.items():
        if not name.endswith("manifest.json"):
            reporter.warn(f"the report has a gap: {reason}")
    reporter.say(f"  {page}", report=str(page))
    return page
