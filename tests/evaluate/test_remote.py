"""A served model through `eurolm evaluate --endpoint`: its texts are judged like those of any model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import TypeAdapter
from tests.evaluate.test_endpoint import KEY, Served, served  # noqa: F401 - a fixture

from eurolm.cli.main import cli
from eurolm.errors import ConfigError
from eurolm.evaluate.results import Results, read_results
from eurolm.scoring.generate import generate_until

SUITE = """
name: written
about: One task that a model writes, one that it chooses.
tasks:
  inflection-et: {limit: 12, templates: first}
  copa-lv: {limit: 12, templates: first}
"""


def test_a_served_model_is_judged_by_what_it_writes(served: Served, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "written.yaml").write_text(SUITE)
    command = ["evaluate", "tiny", "--endpoint", served.address, "--suite", str(tmp_path / "written.yaml"), "--quiet"]
    done = CliRunner().invoke(cli, [*command, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0
    results = TypeAdapter(Results).validate_python(read_results(tmp_path / "out"))
    assert list(results.tasks) == ["inflection-et"] and results.model_sha256 is None
    assert any("copa-lv were not asked" in note for note in results.notes)
    assert results.settings.backend == "endpoint" and results.settings.device_name.startswith("tiny at http://127")
    lines = [json.loads(line) for line in (tmp_path / "out" / "items-inflection-et.jsonl").read_text().splitlines()]
    asked = {body["prompt"]: body for _, body in served.seen}
    assert len(lines) == len(asked) == 12
    body = next(iter(asked.values()))
    (text,) = generate_until(served.model, served.tokenizer, [body["prompt"]], [body["stop"]], body["max_tokens"])
    assert " ".join((text.text or "").split()) in {line["written"] for line in lines}
    everything = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.json*"))
    assert KEY not in everything
    before = len(served.seen)
    CliRunner().invoke(cli, [*command, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert len(served.seen) == before


def test_a_server_scores_no_choices(served: Served, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(ConfigError, match="scores no choices"):
        CliRunner().invoke(
            cli,
            ["evaluate", "tiny", "--endpoint", served.address, "--task", "copa-lv", "--out", str(tmp_path / "x")],
            catch_exceptions=False,
        )
