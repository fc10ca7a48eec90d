"""The train stage as the pipeline sees it: what a started training is held to, and what it hands on.

A training grows inside its run. The ledger says what it was made from, and nothing here ever overwrites it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eurolm.artifacts.ledger import events, record
from eurolm.artifacts.manifest import describe_files, hash_of
from eurolm.config.model import Config
from eurolm.errors import ConfigError
from eurolm.stages import Artifact, Run, fingerprint_of

if TYPE_CHECKING:
    from eurolm.train.inputs import TrainInputs


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
    forked = started[-1].get("forked_samples")
    if changed and forked == _saved_samples(run) and changes.keeps_history(old, new, forked):
        record(run.directory, "training", **{**_plain(started[-1]), "output": new})
        return
    if changed and changes.extends_horizon(old, new):
        done = run.config.mixture.tokens_of(_saved_samples(run))
        stable = changes.warmed_up_after_tokens(new) <= done <= changes.stable_until_tokens(old)
        if stable or changes.rewarms_at(old, new, done):
            record(run.directory, "training", **{**_plain(started[-1]), "output": new})
            return
        raise ConfigError(
            f"mixture.phases: the horizon grew from {changes.horizon_tokens(old):,} to {changes.horizon_tokens(new):,} "
            f"tokens, but training is at {done:,.0f}: past the stable phase of its learning rate, which ends at "
            f"{changes.stable_until_tokens(old):,.0f}. A second warm-up makes it possible: "
            f"train.schedule.rewarms=[{{at_tokens: {done:.0f}, over_tokens: N}}]. {_ways_out(run, changed)}"
        )
    if (fixed := changes.fixed_fields(changed)) and _saved_samples(run):
        raise ConfigError(
            f"training of {run.config.name} has started with another {', '.join(fixed)}, and its checkpoints hold the "
            "weights and optimizer states of that. Set it back, or give the run a new name (name=NEW), which reuses "
            "corpus, tokenizer and shards."
        )
    refused = [name for name in changed if name not in accepted]
    if refused:
        listed = ", ".join(refused[:8]) + (f" and {len(refused) - 8} more" if len(refused) > 8 else "")
        raise ConfigError(f"training of {run.config.name} has started with another {listed}. {_ways_out(run, refused)}")
    if changed:
        record(run.directory, "training", **{**_plain(started[-1]), "output": new, "accepted": changed})


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


def _saved_samples(run: Run) -> int:
    """Samples behind the newest checkpoint, which is where training goes on."""
    from eurolm.train import store
    from eurolm.train.inputs import CHECKPOINTS

    saved = store.complete(run.directory / CHECKPOINTS)
    return store.read_progress(saved[-1]).state.samples if saved else 0


def finished_training(run: Run) -> Artifact | None:
    """The exported model of a training that is finished for this config."""
    finished = events(run.directory, "trained", output=training_output(run.config))
    model = run.directory / "model"
    return Artifact(model, finished[-1]["content"]) if finished and model.is_dir() else None


def begun_training(run: Run) -> TrainInputs:
    """What training is given, after the ledger knows what this training is made from."""
    if not run.config.mixture.phases:
        raise ConfigError("mixture.phases is empty: say how many tokens to train, in rows of which length.")
    inputs = train_inputs(run)
    if not events(run.directory, "training"):
        upstream = run.contents("tokenizer", "tokens", "packs")
        output = training_output(run.config)
        record(run.directory, "training", fingerprint=inputs.fingerprint, output=output, upstream=upstream)
    return inputs


def record_trained(run: Run) -> Artifact:
    """Note the exported model in the ledger."""
    model, output = run.directory / "model", training_output(run.config)
    content = hash_of(describe_files(model))
    if not events(run.directory, "trained", output=output, content=content):
        record(run.directory, "trained", output=output, content=content)
    return Artifact(model, content)


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
