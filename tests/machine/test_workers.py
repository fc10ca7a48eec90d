"""Processes for shards: a dead worker costs its shard alone, a shard that kills every worker is named."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from eurolm.console import Reporter
from eurolm.errors import InputError, MachineError
from eurolm.machine.workers import Workers


def square_or_die(item: tuple[int, str]) -> tuple[int, int]:
    """Kills its own process for number 5: once when the file does not exist yet, always when there is none to make."""
    number, marker = item
    if number == 5 and (not marker or not Path(marker).exists()):
        if marker:
            Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number, os.getpid()


def refuse(number: int) -> int:
    """A mistake of the user's, found in a worker."""
    if number == 3:
        raise InputError("file 3 is broken. Fetch it again.")
    return number


def test_a_killed_worker_costs_its_shard_alone_and_processes_serve_all_passes(tmp_path: Path) -> None:
    marker = str(tmp_path / "died")
    with Workers(2, Reporter("quiet")) as workers:
        first = workers.map(square_or_die, [(n, marker) for n in range(12)], label="one", unit="shards")
        second = workers.map(square_or_die, [(n, marker) for n in range(3)], label="two", unit="shards")
    assert [value for value, _ in first] == [number * number for number in range(12)]
    assert Path(marker).exists()
    assert os.getpid() not in {pid for _, pid in [*first, *second]}
    assert [value for value, _ in second] == [0, 1, 4]


def test_a_shard_that_kills_every_worker_is_an_error_with_a_remedy() -> None:
    with Workers(2, Reporter("quiet")) as workers, pytest.raises(MachineError, match="died 3 times over one shard"):
        workers.map(square_or_die, [(n, "") for n in range(4, 8)], label="one", unit="shards")


@pytest.mark.parametrize("count", [1, 2])
def test_errors_of_shards_are_raised_here(count: int) -> None:
    with Workers(count, Reporter("quiet")) as workers, pytest.raises(InputError, match="file 3 is broken"):
        workers.map(refuse, list(range(6)), label="one", unit="shards")
