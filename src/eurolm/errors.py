"""Errors a user can meet. Each carries the process exit code of DESIGN "Verdicts and exit codes".

A message states the value, the rule and the remedy. The command line prints the message alone; anything
that is not an `EurolmError` is a defect of eurolm and keeps its traceback.
"""

from __future__ import annotations


class EurolmError(Exception):
    """Base of all errors that are shown without a traceback."""

    exit_code = 2


class ConfigError(EurolmError):
    """The configuration is wrong: unknown key, wrong type, impossible combination."""


class InputError(EurolmError):
    """The data given is wrong: missing, empty, truncated, of another format or schema."""


class BusyError(EurolmError):
    """Another live process holds the lease of this stage."""


class StoppedError(EurolmError):
    """Stopped in good order before the end; the same command resumes."""

    exit_code = 10


class NumericsError(EurolmError):
    """Training met values it cannot go on with (repeated non-finite losses or gradients)."""

    exit_code = 12


class MachineError(EurolmError):
    """The environment failed: disk full, directory read-only, a dependency missing, a rank killed."""

    exit_code = 14
