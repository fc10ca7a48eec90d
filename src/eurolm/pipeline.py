"""The pipeline: corpus → tokenizer → tokens → train → evaluate → report, each done once and proved by its hashes.

Every stage is looked up before it is made, so that the same command run again is a no-op and a killed one goes on
where it was. Data stages are in `stages.py`; here is their order, and what grows inside the run.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from eurolm import __version__, stages, training
from eurolm.artifacts.atomic import write_json, write_text
from eurolm.artifacts.lease import lease
from eurolm.artifacts.ledger import events, record
from eurolm.artifacts.manifest import SCHEMA, check_schema
from eurolm.artifacts.paths import make_writable
from eurolm.config.load import LoadedConfig
from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.errors import ConfigError, InputError
from eurolm.stages import Artifact, Run, fingerprint_of

if TYPE_CHECKING:
    pass

STAGES = ("corpus", "tokenizer", "tokens", "train", "evaluate", "report")


@dataclass(frozen=True)
class Selection:
    """Which stages to run: from `first` to `last`; earlier ones must be finished."""

    first: str = STAGES[0]
    last: str = STAGES[-1]

    def covers(self, stage: str) -> bool:
        """True for a stage that may be made."""
        return STAGES.index(self.first) <= STAGES.index(stage) <= STAGES.index(self.last)


UPSTREAM_OF_TRAINING = Selection("train", "tokens")
"""Corpus, tokenizer and tokens, finished."""
LEASE_WAIT_S = 150.0
"""Longer than a lease lives without heartbeat: a job that takes over from a dead node waits instead of failing."""


def execute(loaded: LoadedConfig, selection: Selection, accepted: tuple[str, ...], reporter: Reporter) -> Run:
    """Run the selected stages. Returns what is finished; `worked` lists the stages that had work to do."""
    config = loaded.config
    os.umask(int(config.run.umask, 8))
    run = Run(config, loaded.path, reporter)
    check_early(config)
    if selection.covers("train"):
        from eurolm.train.settings import check_engine

        check_engine(config.train)
    _open_directory(run)
    training.guard_training(run, accepted)
    # The config of a started training is kept until its data, too, are known to be those it was started on.
    if not events(run.directory, "training"):
        _note_config(run, loaded)
    makers: dict[str, Callable[[Run, bool], Artifact | None]] = {
        "corpus": stages.corpus,
        "tokenizer": stages.tokenizer,
        "tokens": _tokens_and_packs,
        "train": train,
        "evaluate": evaluate,
        "report": report,
    }
    for stage in STAGES[: STAGES.index(selection.last) + 1]:
        started, before = time.monotonic(), len(run.worked)
        makers[stage](run, selection.covers(stage))
        if stage == "tokens":
            _note_config(run, loaded)
        seconds = time.monotonic() - started
        if len(run.worked) > before:
            record(run.directory, "stage", stage=stage, seconds=round(seconds, 2))
            reporter.say(f"{stage:<10} done in {seconds:,.1f} s", stage=stage, seconds=seconds)
        elif stage in run.artifacts:
            reporter.say(f"{stage:<10} finished before", stage=stage)
    return run


def check_early(config: Config) -> None:
    """What can be known before the first stage costs anything. Raises ConfigError."""
    from eurolm.evaluate.suites import checkpoint_tasks, chosen
    from eurolm.model.directory import check_continuable_directory
    from eurolm.model.size import check_shape, read_shape
    from eurolm.tasks.load import load_task
    from eurolm.train.batching import check_batches
    from eurolm.train.settings import check_freeze

    for name in [*chosen(config.evaluate), *checkpoint_tasks(config.evaluate)]:
        load_task(name)
    if config.model.use is None:
        check_shape(config.model)
        longest = max((phase.row_tokens for phase in config.mixture.phases), default=0)
        if longest > config.model.max_position_tokens:
            raise ConfigError(
                f"model.max_position_tokens = {config.model.max_position_tokens:,} is less than the longest rows of "
                f"mixture.phases, {longest:,} tokens. Set it to {longest:,} or more, or shorten the rows."
            )
    else:
        check_continuable_directory(config.model.use)
    use = config.model.use
    check_freeze(config.train, tied=config.model.tie_embeddings if use is None else read_shape(use).tied)
    check_batches(config.mixture, config.train)


def _open_directory(run: Run) -> None:
    """Create or recognise the run's directory."""
    make_writable(run.workspace.root)
    make_writable(run.directory)
    identity = run.directory / "run.json"
    if identity.is_file():
        try:
            check_schema(json.loads(identity.read_bytes()).get("schema"), identity)
        except (ValueError, AttributeError):
            raise InputError(f"{identity} is not valid JSON. Delete it and run again.") from None
    else:
        write_json(identity, {"schema": SCHEMA, "name": run.config.name})


def _note_config(run: Run, loaded: LoadedConfig) -> None:
    """Write the config beside what it makes, and note the command."""
    text = resolved_yaml(loaded.config)
    if _text_of(run.directory / "config.yaml") != text:
        write_text(run.directory / "config.yaml", text)
        record(run.directory, "config", eurolm=__version__, config=str(loaded.path), arguments=sys.argv[1:])


def resolved_yaml(config: Config) -> str:
    """The whole config, defaults included, as YAML that can be run again as it is."""
    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.dump({**config.model_dump(mode="json", by_alias=True), "extends": []}, text)
    return text.getvalue()


def _text_of(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def _tokens_and_packs(run: Run, may_build: bool) -> Artifact | None:
    shards = stages.tokens(run, may_build)
    if run.config.mixture.phases:
        stages.packs(run, may_build)
    return shards


def train(run: Run, may_build: bool) -> Artifact:
    """Train, or recognise the finished model."""
    if (finished := training.finished_training(run)) is not None:
        return _kept(run, "train", finished)
    _require(run, "train", may_build)
    inputs = training.begun_training(run)
    from eurolm.train.launch import run_training

    run_training(inputs, run.reporter)
    return _kept(run, "train", training.record_trained(run))


def prepare_training(loaded: LoadedConfig, reporter: Reporter) -> Path | None:
    """In a Slurm job, before the ranks start: the file they read, or None when training is finished.

    Raises what `execute` would, and BusyError while another job trains.
    """
    run = execute(loaded, UPSTREAM_OF_TRAINING, (), reporter)
    if training.finished_training(run) is not None:
        return None
    inputs = training.begun_training(run)
    from eurolm.train.inputs import LEASE, TrainOutcome
    from eurolm.train.launch import prepare

    with lease(run.directory / LEASE, wait_s=LEASE_WAIT_S):
        prepared = prepare(inputs, reporter, ranks_hold_lease=True)
    if isinstance(prepared, TrainOutcome):
        training.record_trained(run)
        return None
    return prepared[0].file


def conclude_training(loaded: LoadedConfig, spec: Path, reporter: Reporter) -> None:
    """After the ranks of a Slurm job have ended: export and record a finished training, or raise what their verdict
    says. The job's exit code is the error's."""
    from eurolm.train.inputs import LEASE, read_spec
    from eurolm.train.launch import conclude

    run = execute(loaded, UPSTREAM_OF_TRAINING, (), reporter)
    with lease(run.directory / LEASE, wait_s=LEASE_WAIT_S):
        conclude(training.begun_training(run), read_spec(spec), reporter)
    training.record_trained(run)


def evaluate(run: Run, may_build: bool) -> Artifact:
    """Score the trained model."""
    from eurolm.evaluate.results import RECIPE
    from eurolm.evaluate.suites import identity

    upstream = run.contents("corpus", "tokenizer", "train")
    fields = run.config.evaluate.output_fields() | {"asked": identity(run.config.evaluate)}
    if run.config.corpus.forget:
        from eurolm.corpus.forget import Forgotten

        fields["forget"] = Forgotten.load(run.config.corpus.forget).identity()
    fingerprint = fingerprint_of("evaluate", RECIPE, fields, upstream)
    place = run.directory / "evaluation"
    if events(run.directory, "evaluated", fingerprint=fingerprint) and (place / "results.json").is_file():
        return _kept(run, "evaluate", Artifact(place, fingerprint))
    _require(run, "evaluate", may_build)
    from eurolm.evaluate.checkpoints import evaluate_checkpoints
    from eurolm.evaluate.stage import run_evaluation
    from eurolm.train.exports import export_step

    with lease(run.directory / "evaluate.lease"):
        evaluate_checkpoints(run.config, run.directory, run.path("corpus"), export_step, run.reporter)
        run_evaluation(run.config, run.artifacts["train"].path, run.path("corpus"), run.directory, run.reporter)
    record(run.directory, "evaluated", fingerprint=fingerprint)
    return _kept(run, "evaluate", Artifact(place, fingerprint))


def report(run: Run, may_build: bool) -> Artifact:
    """Write the report, when something it shows is new."""
    from eurolm.report import RECIPE

    fields = run.config.model_dump(mode="json", by_alias=True)
    fingerprint = fingerprint_of("report", RECIPE, fields, run.contents(*run.artifacts))
    place = run.directory / "report"
    if events(run.directory, "reported", fingerprint=fingerprint) and (place / "index.html").is_file():
        return _kept(run, "report", Artifact(place, fingerprint))
    _require(run, "report", may_build)
    from eurolm.report.stage import write_report

    with lease(run.directory / "report.lease"):
        write_report(run.directory, run.config, run.reporter)
    record(run.directory, "reported", fingerprint=fingerprint)
    return _kept(run, "report", Artifact(place, fingerprint))


def _kept(run: Run, stage: str, artifact: Artifact) -> Artifact:
    run.artifacts[stage] = artifact
    return artifact


def _require(run: Run, stage: str, may_build: bool) -> None:
    if not may_build:
        raise InputError(f"{stage} is not finished, and --from or --only starts after it. Run --until {stage} first.")
    run.worked.append(stage)
