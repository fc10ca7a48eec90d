"""Whether a global batch divides over the ranks: asked before any process is started. No torch here."""

from __future__ import annotations

from eurolm.config.tokens import MixtureConfig
from eurolm.config.train import TrainConfig
from eurolm.errors import ConfigError


def check_batches(mixture: MixtureConfig, train: TrainConfig) -> None:
    """Raises ConfigError where a phase's rows per step do not divide into equal micro-batches on every rank."""
    for number, phase in enumerate(mixture.phases):
        micro = phase.micro_batch_rows or train.micro_batch_rows
        unit = train.ranks * (micro or 1)
        if phase.batch_rows % unit:
            rule = f"train.ranks {train.ranks}"
            if micro:
                rule += f" × micro_batch_rows {micro} = {unit}"
            below = phase.batch_rows // unit * unit
            nearest = [str(rows) for rows in (below, below + unit) if rows]
            raise ConfigError(
                f"mixture.phases.{number}.batch_rows = {phase.batch_rows} is not a multiple of {rule}. "
                f"Nearest: {' or '.join(nearest)}."
            )
