"""Workers of a job: a scheduler started by Dask's own commands over TLS is joined, by nobody without its key."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dask.config
import pytest
from distributed import Client, Security

from eurolm.console import Reporter
from eurolm.errors import MachineError
from eurolm.machine import workers
from eurolm.machine.workers import SCHEDULER, Workers

ROLES = ("SCHEDULER", "WORKER", "CLIENT")


def slow_square(item: tuple[int, str]) -> int:
    """Leaves a file with its process's parent, which is the nanny."""
    number, place = item
    Path(place, f"{os.getppid()}-{number}").touch()
    time.sleep(0.2)
    return number * number


def command(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def certificate_in(place: Path) -> tuple[str, str]:
    """A self-signed certificate and its key, made as the job script makes them."""
    place.mkdir()
    key, certificate = str(place / "tls.key"), str(place / "tls.crt")
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 7 -subj /CN=eurolm"
    subprocess.run([*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A TLS scheduler with two worker processes, each under a nanny of its own; killed afterwards."""
    certificate, key = certificate_in(tmp_path / "tls")
    file = tmp_path / "scheduler.json"
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION", "true")
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", certificate)
    for role in ROLES:
        monkeypatch.setenv(f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT", certificate)
        monkeypatch.setenv(f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY", key)
    place = ["--no-dashboard", "--scheduler-file", str(file)]
    started = [command("scheduler", "--protocol", "tls", "--host", "127.0.0.1", "--port", "0", *place)]
    for _ in range(2):
        started.append(command("worker", "--nthreads", "1", "--local-directory", str(tmp_path), *place))
    monkeypatch.setenv(SCHEDULER, str(file))
    dask.config.refresh()  # Dask reads its variables when it is imported
    yield file
    monkeypatch.undo()
    dask.config.refresh()
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_jobs_workers_are_joined_and_one_killed_with_its_nanny_loses_nothing(
    scheduler: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()
    items = [(number, str(seen)) for number in range(30)]
    with Workers(1, Reporter("lines")) as pool:
        pool.map(slow_square, items[:4], label="warm", unit="shards")
        client = pool._started()
        client.wait_for_workers(2, timeout=60)
        nanny = next(seen.iterdir()).name.split("-")[0]
        with subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {nanny} $(pgrep -P {nanny})"]):
            results = pool.map(slow_square, items, label="squares", unit="shards")
        assert len(client.scheduler_info()["workers"]) == 1
        assert client.scheduler.address.startswith("tls://")
    assert results == [number * number for number in range(30)]
    assert "squares: shards done 30 on" in capsys.readouterr().err


def test_nobody_else_is_let_in(scheduler: Path, tmp_path: Path) -> None:
    with Workers(1, Reporter("quiet")) as pool:
        address = pool._started().scheduler.address
    certificate, key = certificate_in(tmp_path / "stranger")
    trusted = str(tmp_path / "tls" / "tls.crt")
    stranger = Security(tls_ca_file=trusted, tls_client_cert=certificate, tls_client_key=key, require_encryption=True)
    for security, protocol in ((stranger, "tls://"), (Security(require_encryption=False), "tcp://")):
        with pytest.raises(OSError, match=r"unknown ca|Timed out|reset by peer"):
            Client(address.replace("tls://", protocol), security=security, timeout=2)


def test_a_scheduler_that_never_starts_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCHEDULER, str(tmp_path / "absent.json"))
    monkeypatch.setattr(workers, "JOIN_WITHIN_S", 0.5)
    with Workers(2, Reporter("quiet")) as pool, pytest.raises(MachineError, match=r"absent\.json was not written"):
        pool.map(abs, [1, 2], label="one", unit="shards")
