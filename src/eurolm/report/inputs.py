"""What a run directory holds, read once. A file that is not there or cannot be read becomes a stated reason.

The report is also written for half-finished and broken runs, so nothing here raises: every section asks for its input
and shows the reason where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from eurolm.artifacts.ledger import events
from eurolm.artifacts.manifest import MANIFEST, Manifest, read_manifest
from eurolm.config.model import Config
from eurolm.errors import InputError
from eurolm.evaluate.results import Results
from eurolm.report.scores import parse

CORPUS, TOKENIZER, TOKENS = "corpus/report.json", "tokenizer/training.json", "tokens/tokens.json"
METRICS, SAMPLES, RESULTS = "metrics.jsonl", "samples.jsonl", "evaluation/results.json"
CONFIG = "config.yaml"
DATA_STAGES = ("corpus", "tokenizer", "tokens", "packs")

_WRITTEN_BY = {CORPUS: "corpus", TOKENIZER: "tokenizer", TOKENS: "tokens", METRICS: "train", SAMPLES: "train"}


@dataclass(frozen=True)
class RunFiles:
    """The files of one run, parsed; `missing` says for every absent one why."""

    run_dir: Path
    values: Mapping[str, Any]
    """Parsed content by path relative to the run: an object for `.json`, a list of objects for `.jsonl`."""
    missing: Mapping[str, str]
    """Reason by path, for every file that is not in `values`."""
    torn_lines: Mapping[str, int]
    """Lines of a `.jsonl` file that are no JSON object: what a crash leaves."""
    manifests: Mapping[str, Manifest]
    """Manifests of the data artifacts by stage; foreign artifacts have none."""
    results: Results | None
    """Scores of the evaluation."""
    ledger: list[dict[str, Any]]
    """Events in order."""
    config_yaml: str | None
    """The run's resolved config as it was written."""

    def object(self, name: str) -> dict[str, Any] | None:
        """Content of a `.json` file, or null."""
        return self.values.get(name)

    def lines(self, name: str) -> list[dict[str, Any]] | None:
        """Content of a `.jsonl` file, or null."""
        return self.values.get(name)

    def reason(self, name: str) -> str:
        """Why a file is not there; empty when it is."""
        return self.missing.get(name, "")


def read_run(run_dir: Path, config: Config) -> RunFiles:
    """Read everything the report shows; scores by language in the order of the config."""
    values: dict[str, Any] = {}
    missing: dict[str, str] = {}
    torn: dict[str, int] = {}
    for name in (CORPUS, TOKENIZER, TOKENS, RESULTS):
        _read_object(run_dir, name, values, missing)
    for name in (METRICS, SAMPLES):
        _read_lines(run_dir, name, values, missing, torn)
    results = None
    if RESULTS in values:
        results, reason = parse(values[RESULTS])
        if results is None:
            missing[RESULTS] = reason
        else:
            results = _in_order(results, list(config.corpus.languages))
    yaml = run_dir / CONFIG
    return RunFiles(
        run_dir=run_dir,
        values=values,
        missing=missing,
        torn_lines=torn,
        manifests=_manifests(run_dir, missing),
        results=results,
        ledger=events(run_dir),
        config_yaml=yaml.read_text() if yaml.is_file() else None,
    )


def _read_object(run_dir: Path, name: str, values: dict[str, Any], missing: dict[str, str]) -> None:
    try:
        value = orjson.loads((run_dir / name).read_bytes())
    except OSError:
        missing[name] = _absent(name)
    except orjson.JSONDecodeError as error:
        missing[name] = f"{name} is not valid JSON ({error})"
    else:
        if isinstance(value, dict):
            values[name] = value
        else:
            missing[name] = f"{name} is not a JSON object"


def _read_lines(
    run_dir: Path, name: str, values: dict[str, Any], missing: dict[str, str], torn: dict[str, int]
) -> None:
    try:
        raw = (run_dir / name).read_bytes().splitlines()
    except OSError:
        missing[name] = _absent(name)
        return
    found: list[dict[str, Any]] = []
    for line in raw:
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            value = None
        if isinstance(value, dict):
            found.append(value)
        elif line.strip():
            torn[name] = torn.get(name, 0) + 1
    if found:
        values[name] = found
    else:
        missing[name] = f"{name} is empty"


def _in_order(results: Results, languages: list[str]) -> Results:
    found = sorted(results.bits_per_byte, key=lambda code: [*languages, code].index(code))
    return replace(results, bits_per_byte={code: results.bits_per_byte[code] for code in found})


def _absent(name: str) -> str:
    stage = _WRITTEN_BY.get(name, "evaluate")
    return f"{name} is missing: the {stage} stage of this run has not written it"


def _manifests(run_dir: Path, missing: dict[str, str]) -> dict[str, Manifest]:
    found: dict[str, Manifest] = {}
    for stage in DATA_STAGES:
        try:
            found[stage] = read_manifest(run_dir / stage)
        except (InputError, OSError):
            missing[f"{stage}/{MANIFEST}"] = f"{stage} has no readable manifest"
    return found
