"""What scripts of other jobs do shortly before their time limit: they run, on a stand-in for Slurm's client."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cluster.launch.orders import order

from eurolm.cluster.jobs import CORPUS, ENCODE, EVALUATE_STEP, JobKind
from eurolm.cluster.profile import load_profile
from eurolm.cluster.render import render_all

WORK = """#!/bin/bash
touch "$CALLS.begun"
while [ ! -e "$CALLS.finish" ]; do sleep 0.1; done
exit 14
"""


@pytest.mark.parametrize(
    ("kind", "restarts", "asked"),
    [(CORPUS, 0, ["requeue 7"]), (ENCODE, 9, ["requeue 7"]), (ENCODE, 10, []), (EVALUATE_STEP, 0, ["requeue 7"])],
)
def test_a_stage_starts_again_before_its_time_limit_and_keeps_its_exit_code(
    tmp_path: Path, kind: JobKind, restarts: int, asked: list[str]
) -> None:
    profile = load_profile("lumi-g").model_copy(update={"container": None, "environment": {}})
    given = order(profile=profile, workdir=tmp_path, environment=str(tmp_path))
    scripts, calls = given.run_dir / "slurm", tmp_path / "calls"
    scripts.mkdir(parents=True)
    for name, text in render_all(given, (kind,)).items():
        (scripts / name).write_text(text)
    assert "#SBATCH --signal=B:USR1@600" in (scripts / f"{kind.name}.sbatch").read_text()
    (tmp_path / "bin").mkdir()
    for name, text in {"python": WORK, "scontrol": '#!/bin/bash\necho "$*" >>"$CALLS"\n'}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    calls.touch()
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "CALLS": str(calls),
                   "SLURM_RESTART_COUNT": str(restarts), "HOME": str(tmp_path)}  # fmt: skip
    script = subprocess.Popen(["bash", str(scripts / f"{kind.name}.sbatch"), "20"], env=environment)
    until(lambda: Path(f"{calls}.begun").exists())
    script.send_signal(signal.SIGUSR1)
    until(lambda: calls.read_text().splitlines() == asked)
    # The work goes on until Slurm ends it; without a requeue, to its own end.
    assert script.poll() is None
    Path(f"{calls}.finish").touch()
    assert script.wait(60) == 14 and calls.read_text().splitlines() == asked


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "not within its time"
        time.sleep(0.05)
