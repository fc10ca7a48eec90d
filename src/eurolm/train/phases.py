"""What changes in the model and in the cut of a batch when a phase begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eurolm.config.tokens import PhaseConfig
from eurolm.model.rope import rope_theta, set_rope_theta


class PhaseChanges:
    """Rotary base and micro-batch of each phase. What a phase leaves out stays as it was."""

    def __init__(self, phases: Sequence[PhaseConfig], micro_batch_rows: int | None) -> None:
        self._micro_batch_rows = [phase.micro_batch_rows or micro_batch_rows for phase in phases]
        self._thetas: list[float | None] = []
        for phase in phases:
            before = self._thetas[-1] if self._thetas else None
            self._thetas.append(phase.rope_theta or before)

    def enter(self, model: Any, phase: int) -> int | None:
        """Set the model's rotary base for `phase`; returns the rows of its micro-batches (null: all of a rank's)."""
        theta = self._thetas[phase]
        if theta is not None and theta != rope_theta(model.config):
            set_rope_theta(model, theta)
        return self._micro_batch_rows[phase]
