"""The whole state of training outside the engine: samples consumed, and what was skipped.

Samples consumed is the only clock. Step, tokens, phase and learning rate follow from it through the mixture and the
schedule, so none of them is stored here; nothing random is either, because the order of data is a pure function and
no layer draws random numbers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class TrainState:
    """Counters that a checkpoint carries as JSON."""

    samples: int = 0
    """Rows consumed, those of skipped steps included."""
    skipped_steps: int = 0
    """Steps whose update was dropped because a loss or a gradient was not finite."""
    skipped_in_a_row: int = 0
    """How many of them were the latest ones."""

    def after(self, rows: int, applied: bool) -> TrainState:
        """The state after one step of `rows` rows."""
        return replace(
            self,
            samples=self.samples + rows,
            skipped_steps=self.skipped_steps + (not applied),
            skipped_in_a_row=0 if applied else self.skipped_in_a_row + 1,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
