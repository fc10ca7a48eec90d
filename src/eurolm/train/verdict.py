"""How an attempt at training ended, as a file.

srun and containers hide the exit codes of ranks, so the ranks write one atomic verdict after their last barrier and
exit 0; the parent turns it into the exit code. No verdict means a crash (DESIGN "Verdicts and exit codes").
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from eurolm.artifacts.atomic import read_json, write_json
from eurolm.errors import BusyError, ConfigError, EurolmError, InputError, MachineError, NumericsError, StoppedError
from eurolm.train.receipt import ReceiptError

DONE = 0
_ERRORS: dict[str, type[EurolmError]] = {
    kind.__name__: kind
    for kind in (BusyError, ConfigError, InputError, StoppedError, NumericsError, MachineError, ReceiptError)
}


@dataclass(frozen=True)
class Verdict:
    """`code` as in DESIGN; class and message of the error where it is not 0."""

    code: int
    kind: str = ""
    message: str = ""

    def raise_error(self) -> None:
        """Raise the error this verdict records; return for a finished training."""
        if self.code != DONE:
            raise _ERRORS.get(self.kind, EurolmError)(self.message)


def write_verdict(path: Path, verdict: Verdict) -> None:
    """Write the verdict, atomically. The first one stands: later ranks fail because an earlier one did."""
    if not path.exists():
        write_json(path, asdict(verdict))


def read_verdict(path: Path) -> Verdict | None:
    """The verdict, or None where the attempt crashed before it could write one."""
    try:
        return Verdict(**read_json(path))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def verdict_of(error: EurolmError) -> Verdict:
    """The verdict that carries `error` from a rank to the parent."""
    return Verdict(error.exit_code, type(error).__name__, str(error))
