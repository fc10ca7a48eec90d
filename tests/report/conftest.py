"""One finished run for all tests of the report, and copies of it for those that break it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.report.run_directory import make_run

from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.report.stage import write_report


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config]:
    return make_run(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def config(finished: tuple[Path, Config]) -> Config:
    return finished[1]


@pytest.fixture(scope="session")
def run_dir(finished: tuple[Path, Config]) -> Path:
    """A finished run with its report. Not to be changed."""
    write_report(*finished, Reporter("quiet"))
    return finished[0]


@pytest.fixture
def without(run_dir: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the run without some of its files."""

    def copy(*names: str) -> Path:
        place = tmp_path / "copy"
        shutil.copytree(run_dir, place)
        for name in names:
            path = place / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return place

    return copy
