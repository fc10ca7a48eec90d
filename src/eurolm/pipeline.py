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
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from eurolm import __version__, stages
from eurolm.artifacts.atomic import write_json, write_text
from eurolm.artifacts.lease import lease
from eurolm.artifacts.ledger import events, record
from eurolm.artifacts.manifest import SCHEMA, check_schema, describe_files, hash_of
from eurolm.artifacts.paths import make_writable
from eurolm.config.load import LoadedConfig
from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.errors import ConfigError, InputError
from eurolm.stages import Artifact, Run, fingerprint_of

if TYPE_CHECKING:
    from eurolm.train.inputs import TrainInputs

STAGES = ("corpus", "tokenizer", "tokens", "train", "evaluate", "report")


@dataclass(frozen=True)
class Selection:
    """Which stages to run: from `first` to `last`; earlier ones must be finished."""

    first: str = STAGES[0]
    last: str = STAGES[-1]

    def covers(self, stage: str) -> bool:
        """True for a stage that may be made."""
        return STAGES.index(self.first) <= STAGES.index(stage) <= STAGES.index(self.last)


def execute(loaded: LoadedConfig, selection: Selection, accepted: tuple[str, ...], reporter: Reporter) -> Run:
    """Run the selected stages. Returns what is finished; `worked` lists the stages that had work to do."""
    config = loaded.config
    os.umask(int(config.run.umask, 8))
    run = Run(config, loaded.path, reporter)
    check_early(config)
    _open_directory(run, loaded)
    guard_training(run, accepted)
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
        seconds = time.monotonic() - started
        if len(run.worked) > before:
            record(run.directory, "stage", stage=stage, seconds=round(seconds, 2))
            reporter.say(f"{stage:<10} done in {seconds:,.1f} s", stage=stage, seconds=seconds)
        elif stage in run.artifacts:
            reporter.say(f"{stage:<10} finished before", stage=stage)
    return run


def check_early(config: Config) -> None:
    """What can be known before the first stage costs anything. Raises ConfigError."""
    from eurolm.model.size import check_shape
    from eurolm.tasks.load import load_task
    from eurolm.train.batching import check_batches

    for name in config.evaluate.tasks:
        load_task(name)
    if config.model.use is None:
        check_shape(config.model)
        longest = max((phase.row_tokens for phase in config.mixture.phases), default=0)
        if longest > config.model.max_position_tokens:
            raise ConfigError(
                f"model.max_position_tokens = {config.model.max_position_tokens:,} is less than the longest rows of "
                f"mixture.phases, {longest:,} tokens. Set it to {longest:,} or more, or shorten the rows."
            )
    check_batches(config.mixture, config.train)


def _open_directory(run: Run, loaded: LoadedConfig) -> None:
    """Create or recognise the run's directory and note the command."""
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


def training_output(config: Config) -> dict[str, Any]:
    """The fields that a started training holds fast."""
    return {
        "mixture": config.mixture.output_fields(),
        "model": config.model.output_fields(),
        "train": config.train.output_fields(),
    }


def guard_training(run: Run, accepted: tuple[str, ...]) -> None:
    """Refuse to change what a started training was made from. Raises ConfigError with the three ways out."""
    from eurolm.train import changes

    started = events(run.directory, "training")
    if not started:
        return
    old, new = started[-1]["output"], training_output(run.config)
    changed = changes.changed_fields(old, new)
    if changed and changes.extends_horizon(old, new):
        done = _consumed_tokens(run)
        if changes.warmed_up_after_tokens(new) <= done <= changes.stable_until_tokens(old):
            record(run.directory, "training", **{**_plain(started[-1]), "output": new})
            return
        raise ConfigError(
            f"mixture.phases: the horizon grew from {changes.horizon_tokens(old):,} to {changes.horizon_tokens(new):,} "
            f"tokens, but training is at {done:,.0f}: past the stable phase of its learning rate, which ends at "
            f"{changes.stable_until_tokens(old):,.0f}. {_ways_out(run, changed)}"
        )
    refused = [name for name in changed if name not in accepted]
    if refused:
        listed = ", ".join(refused[:8]) + (f" and {len(refused) - 8} more" if len(refused) > 8 else "")
        raise ConfigError(f"training of {run.config.name} has started with another {listed}. {_ways_out(run, refused)}")
    if changed:
        record(run.directory, "training", **{**_plain(started[-1]), "output": new, "accepted": changed})


def guard_upstream(run: Run) -> None:
    """Refuse to continue a started training on other data than it was started on."""
    started = events(run.directory, "training")
    if not started:
        return
    old, new = started[-1]["upstream"], run.contents("tokenizer", "tokens", "packs")
    differing = [stage for stage in old if stage != "packs" and old[stage] != new.get(stage)]
    if differing:
        raise ConfigError(
            f"training of {run.config.name} has started on another {' and '.join(differing)}. "
            "Put the sections back as they were, or give this run a new name: eurolm run CONFIG name=NEW."
        )


def _ways_out(run: Run, fields: list[str]) -> str:
    flags = " ".join(f"--accept-change {name}" for name in fields[:3])
    return (
        "A started training is never overwritten. Three ways out: "
        f"keep its checkpoints and go on with the change ({flags}); "
        f"start from one of them (eurolm fork {run.config.name}@STEP NEW); "
        "or give the run a new name (name=NEW), which reuses corpus, tokenizer and shards."
    )


def _plain(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ("time", "event", "accepted")}


def _consumed_tokens(run: Run) -> float:
    """Tokens behind the last recorded step: samples are the clock."""
    from eurolm.train.metrics import METRICS, read_lines

    samples = [int(line["samples"]) for line in read_lines(run.directory / METRICS, "step")]
    return run.config.mixture.tokens_of(samples[-1] if samples else 0)


def train(run: Run, may_build: bool) -> Artifact:
    """Train, or recognise the finished model."""
    guard_upstream(run)
    output, model = training_output(run.config), run.directory / "model"
    finished = events(run.directory, "trained", output=output)
    if finished and model.is_dir():
        return _kept(run, "train", Artifact(model, finished[-1]["content"]))
    _require(run, "train", may_build)
    if not run.config.mixture.phases:
        raise ConfigError("mixture.phases is empty: say how many tokens to train, in rows of which length.")
    from eurolm.train.launch import run_training

    inputs = train_inputs(run)
    if not events(run.directory, "training"):
        upstream = run.contents("tokenizer", "tokens", "packs")
        record(run.directory, "training", fingerprint=inputs.fingerprint, output=output, upstream=upstream)
    with lease(run.directory / "train.lease"):
        run_training(inputs, run.reporter)
    content = hash_of(describe_files(model))
    record(run.directory, "trained", output=output, content=content)
    return _kept(run, "train", Artifact(model, content))


def train_inputs(run: Run) -> TrainInputs:
    """What training is given. Its fingerprint is the one it started with: a longer horizon does not change it."""
    from eurolm.train.inputs import RECIPE, TrainInputs

    started = events(run.directory, "training")
    output, upstream = training_output(run.config), run.contents("tokenizer", "tokens", "packs")
    return TrainInputs(
        config=run.config,
        run_dir=run.directory,
        corpus=run.path("corpus"),
        tokenizer=run.artifacts["tokenizer"].path,
        tokens=run.artifacts["tokens"].path,
        packs=run.artifacts["packs"].path,
        fingerprint=started[0]["fingerprint"] if started else fingerprint_of("train", RECIPE, output, upstream),
    )


def evaluate(run: Run, may_build: bool) -> Artifact:
    """Score the trained model."""
    from eurolm.evaluate.results import RECIPE

    upstream = run.contents("corpus", "tokenizer", "train")
    fields = run.config.evaluate.output_fields()
    if run.config.corpus.forget:
        from eurolm.corpus.forget import Forgotten

        fields["forget"] = Forgotten.load(run.config.corpus.forget).identity()
    fingerprint = fingerprint_of("evaluate", RECIPE, fields, upstream)
    place = run.directory / "evaluation"
    if events(run.directory, "evaluated", fingerprint=fingerprint) and (place / "results.json").is_file():
        return _kept(run, "evaluate", Artifact(place, fingerprint))
    _require(run, "evaluate", may_build)
    from eurolm.evaluate.stage import run_evaluation

    with lease(run.directory / "evaluate.lease"):
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
