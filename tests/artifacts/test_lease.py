"""One writer per stage; a dead writer's lease is taken over, a live one's is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eurolm.artifacts.lease import STALE_AFTER_S, lease, process_start
from eurolm.errors import BusyError

HOLD = """
import sys, time
from pathlib import Path
from eurolm.artifacts.lease import lease
with lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def hold_elsewhere(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_live_holder_keeps_others_out_and_a_killed_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "corpus.lease"
    process = hold_elsewhere(path)
    try:
        with pytest.raises(BusyError, match=f"process {process.pid}"), lease(path):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with lease(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_reused_pid_does_not_keep_a_lease_alive(tmp_path: Path) -> None:
    path = tmp_path / "x.lease"
    import socket

    path.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": "1", "nonce": "n"}))
    with lease(path):
        pass


def test_another_host_is_stale_only_without_heartbeat(tmp_path: Path) -> None:
    path = tmp_path / "x.lease"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": "1", "nonce": "n"}))
    with pytest.raises(BusyError, match="elsewhere"), lease(path):
        pass
    old = time.time() - STALE_AFTER_S - 1
    os.utime(path, (old, old))
    with lease(path):
        pass


def test_exactly_one_of_many_contenders_takes_a_stale_lease(tmp_path: Path) -> None:
    path = tmp_path / "x.lease"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": "1", "nonce": "n"}))
    old = time.time() - STALE_AFTER_S - 1
    os.utime(path, (old, old))
    code = HOLD.replace("time.sleep(60)", "time.sleep(3)")
    contenders = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for _ in range(6)
    ]
    outcomes = [process.communicate()[0] for process in contenders]
    assert outcomes.count("held\n") == 1


def test_process_start_of_the_gone_and_the_living() -> None:
    assert process_start(os.getpid()) is not None
    assert process_start(2**22 + 1) is None
