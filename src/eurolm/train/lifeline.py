"""A child process that does not outlive its parent."""

from __future__ import annotations

import ctypes
import os
import signal

PARENT = "EUROLM_PARENT_PID"
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel (Linux) to kill this process when its parent dies, also when that is killed with -9."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    expected = os.environ.get(PARENT)
    # The parent may have died before the call: then this process was handed to another one.
    if expected is not None and os.getppid() != int(expected):
        os._exit(1)
