"""The processes that score together: each takes its share of the same batches, all hold all results.

Batches are formed before they are spread, so that the composition of a batch, and with it every rounding, is the same
for any number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eurolm.errors import MachineError


@dataclass(frozen=True)
class Ranks:
    """This process among `count`; `gather` hands every rank the values of all, in order of rank."""

    rank: int
    count: int
    gather: Callable[[Any], list[Any]]

    @property
    def first(self) -> bool:
        """This process writes files and speaks to the user."""
        return self.rank == 0

    def from_first(self, make: Callable[[], Any]) -> Any:
        """What `make` gives on rank 0, on every rank; called there alone. Its error is raised on every rank."""
        return self.together(lambda: make() if self.first else None)[0]

    def together(self, work: Callable[[], Any]) -> list[Any]:
        """The result of `work` on every rank. When it fails on one, all raise, so that none waits for the dead."""
        if self.count == 1:
            return [work()]
        try:
            outcome: tuple[Any, str | None] = (work(), None)
            error: BaseException | None = None
        except Exception as caught:
            outcome, error = (None, f"{type(caught).__name__}: {caught}"), caught
        gathered = self.gather(outcome)
        if error is not None:
            raise error
        for rank, (_, failed) in enumerate(gathered):
            if failed is not None:
                raise MachineError(f"rank {rank} of {self.count} failed to score its share: {failed}")
        return [value for value, _ in gathered]


ALONE = Ranks(0, 1, lambda value: [value])
"""A process by itself."""
