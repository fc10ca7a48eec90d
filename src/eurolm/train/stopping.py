"""Requests to stop: the stop file, looked at by rank 0 once a step, and signals to any rank."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass
class StopRequest:
    """Whether somebody asked this rank to stop. A wish only: the ranks agree on it in the next step."""

    file: Path | None
    """Stop file to look for; None on every rank but 0."""
    signalled: bool = False

    def listen(self) -> None:
        """Take SIGTERM and SIGUSR1 as requests. Ctrl-C reaches all processes; the parent answers it alone."""
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._note)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wanted(self) -> bool:
        """True once a request came."""
        return self.signalled or (self.file is not None and self.file.exists())

    def obeyed(self) -> None:
        """Remove the stop file, so that the same command resumes."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)

    def _note(self, _number: int, _frame: object) -> None:
        self.signalled = True
