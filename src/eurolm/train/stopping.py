"""Requests to stop: the stop file and the job's end, looked at by rank 0 once a step, and signals to any rank.

A signal rarely comes to one process alone: Ctrl-C reaches the whole process group, `scancel --signal` all of a job. So
every process of a training is started with these signals held back: ranks let them in when they can answer, the copier
never does, because the save that follows a request needs it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

END_TIME = "EUROLM_JOB_END_TIME"
"""Environment variable with the second (Unix time) at which the scheduler ends the job; the job script sets it."""
SAVE_MARGIN, STEP_MARGIN = 1.5, 3.0
"""The stop is asked for so many save times and step times before the end."""
UNMEASURED_SAVE_S = 120.0
"""Save time assumed before the first one is measured, but no more than a fifth of the job."""


ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Signals that ask for a stop."""


@contextmanager
def held_back() -> Iterator[None]:
    """Processes started inside keep the signals in `ASKING` waiting until they let them in."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _job_end() -> float | None:
    text = os.environ.get(END_TIME)
    return float(text) if text else None


@dataclass
class StopRequest:
    """Whether somebody asked this rank to stop. A wish only: the ranks agree on it in the next step."""

    file: Path | None
    """Stop file to look for; None on every rank but 0."""
    signalled: bool = False
    ends_at: float | None = field(default_factory=_job_end)
    started_at: float = field(default_factory=time.time)

    def listen(self) -> None:
        """Take SIGTERM and SIGUSR1 as requests. Ctrl-C reaches all processes; the parent answers it alone."""
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._note)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)

    def wanted(self, step_s: float, save_s: float | None) -> bool:
        """True once a request came, or when no more than a step and a save fit before the job ends.

        `step_s` seconds of the last step; `save_s` of the longest save so far, None before the first.
        """
        if self.signalled or (self.file is not None and self.file.exists()):
            return True
        if self.ends_at is None:
            return False
        if save_s is None:
            save_s = min(UNMEASURED_SAVE_S, 0.2 * (self.ends_at - self.started_at))
        return time.time() + SAVE_MARGIN * save_s + STEP_MARGIN * step_s >= self.ends_at

    def obeyed(self) -> None:
        """Remove the stop file, so that the same command resumes."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)

    def _note(self, _number: int, _frame: object) -> None:
        self.signalled = True
