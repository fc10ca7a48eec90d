"""What training is given and what it hands back; written as JSON for the rank processes. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eurolm.artifacts.atomic import read_json, write_json
from eurolm.config.architecture import ModelConfig
from eurolm.config.fields import Section
from eurolm.config.tokens import MixtureConfig
from eurolm.config.train import TrainConfig

if TYPE_CHECKING:
    from eurolm.config.model import Config

RECIPE = 2
"""Raised when the same config would train to other numbers."""

CHECKPOINTS = "checkpoints"
MODEL = "model"
LEASE = "train.lease"
STOP_FILE = "stop"
SUMMARY = "training.json"
"""File in the exported model that says which training made it and how far that was."""


@dataclass(frozen=True)
class TrainInputs:
    """Finished artifacts and the growing run directory of one training."""

    config: Config
    """The whole configuration; training reads `model`, `train` and `mixture`."""
    run_dir: Path
    """`runs/<name>`: checkpoints, metrics and the final model grow here."""
    corpus: Path | None
    """Corpus whose held-out text is scored during training; null for a run that starts from token shards."""
    tokenizer: Path
    """Tokenizer directory."""
    tokens: Path
    """Token shards."""
    packs: Path
    """Pack indexes."""
    fingerprint: str
    """Identity of this training: a checkpoint of another one is refused."""


@dataclass(frozen=True)
class TrainOutcome:
    """What a finished training has to show."""

    model: Path
    """Exported model in Hugging Face format."""
    steps: int
    samples: int
    skipped_steps: int
    resumed_from: list[int]
    """Steps at which earlier attempts of this command were resumed."""
    worked: bool
    """False when everything had been done before."""


@dataclass(frozen=True)
class RankSpec:
    """The part of the inputs a rank process needs, with plain values so that it travels as JSON."""

    model: ModelConfig
    train: TrainConfig
    mixture: MixtureConfig
    run_dir: Path
    corpus: Path | None
    forget: list[Path]
    tokenizer: Path
    tokens: Path
    packs: Path
    fingerprint: str
    attempt: str
    """Names this attempt's verdict, log and staging files."""
    threads: int
    resume: Path | None
    """Verified checkpoint to go on from; null starts from the beginning."""
    logs: Path
    """Directory of this attempt's log files."""
    ranks_hold_lease: bool
    """True in a Slurm job, where no parent lives as long as the ranks: rank 0 holds the training's lease."""

    @property
    def file(self) -> Path:
        """Where this spec is written."""
        return self.logs / "spec.json"

    @property
    def ranks(self) -> int:
        """Number of ranks."""
        return self.train.ranks

    @property
    def checkpoints(self) -> Path:
        """Directory of the checkpoints."""
        return self.run_dir / CHECKPOINTS

    @property
    def model_dir(self) -> Path:
        """Place of the exported model."""
        return self.run_dir / MODEL

    @property
    def stop_file(self) -> Path:
        """File whose existence asks for a stop in good order."""
        return self.run_dir / STOP_FILE

    @property
    def lease(self) -> Path:
        """Held by rank 0 while it trains, and by whoever prepares or concludes an attempt."""
        return self.run_dir / LEASE

    @property
    def verdict(self) -> Path:
        """File that says how this attempt ended (DESIGN "Verdicts and exit codes")."""
        return self.run_dir / f"verdict-{self.attempt}.json"


def rank_spec(
    inputs: TrainInputs, attempt: str, threads: int, resume: Path | None, logs: Path, ranks_hold_lease: bool
) -> RankSpec:
    """The ranks' view of `inputs`."""
    return RankSpec(
        model=inputs.config.model,
        train=inputs.config.train,
        mixture=inputs.config.mixture,
        run_dir=inputs.run_dir,
        corpus=inputs.corpus,
        forget=inputs.config.corpus.forget,
        tokenizer=inputs.tokenizer,
        tokens=inputs.tokens,
        packs=inputs.packs,
        fingerprint=inputs.fingerprint,
        attempt=attempt,
        threads=threads,
        resume=resume,
        logs=logs,
        ranks_hold_lease=ranks_hold_lease,
    )


_SECTIONS: dict[str, type[Section]] = {"model": ModelConfig, "train": TrainConfig, "mixture": MixtureConfig}
_PATHS = ("run_dir", "corpus", "tokenizer", "tokens", "packs", "resume", "logs")


def write_spec(path: Path, spec: RankSpec) -> None:
    """Write `spec` as JSON, atomically."""
    value: dict[str, Any] = dict(vars(spec))
    for name in _SECTIONS:
        value[name] = value[name].model_dump(mode="json", by_alias=True)
    for name in _PATHS:
        value[name] = None if value[name] is None else str(value[name])
    value["forget"] = [str(path) for path in value["forget"]]
    write_json(path, value)


def read_spec(path: Path) -> RankSpec:
    """The spec written by `write_spec`."""
    value = read_json(path)
    for name, section in _SECTIONS.items():
        value[name] = section.model_validate(value[name])
    for name in _PATHS:
        value[name] = None if value[name] is None else Path(value[name])
    value["forget"] = [Path(path) for path in value["forget"]]
    return RankSpec(**value)
