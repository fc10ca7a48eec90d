"""What a user does on the login node of the test cluster: launch, look, wait."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.slurm.rig.cluster import ASKING_EVERY_S, Cluster, said

HERE = Path(__file__).parent
ACCOUNT = "cluster.account=project_465000000"


@dataclass(frozen=True)
class Desk:
    """A directory on the login node from which runs are launched."""

    cluster: Cluster
    path: Path
    user: str | None = None
    """Root where it is not set."""

    def eurolm(self, *arguments: str, expect: int = 0) -> str:
        """Run the command as the desk's user; both of its streams."""
        answer = self.cluster.run(
            sys.executable, "-m", "eurolm", *arguments, cwd=self.path, expect=expect, timeout=280, user=self.user
        )
        return said(answer)

    def launch(self, config: Path, profile: str, *overrides: str, options: tuple[str, ...] = ()) -> dict[str, str]:
        """Launch with a profile of this folder; job names → ids. The preflight has tests of its own."""
        given = (ACCOUNT, f"cluster.name={HERE / profile}", "cluster.preflight=false")
        self.eurolm("launch", str(config), *given, *overrides, *options)
        return self.jobs(name_of(config, overrides))

    def run_dir(self, name: str) -> Path:
        """`runs/<name>`."""
        return self.path / "runs" / name

    def jobs(self, name: str) -> dict[str, str]:
        """Job names → ids of the last launch."""
        found: dict[str, str] = {}
        for event in self.ledger(name):
            if event["event"] == "launch":
                found = {}
            elif event["event"] == "job":
                found[event["name"]] = event["job"]
        return found

    def ledger(self, name: str) -> list[dict[str, Any]]:
        """The run's history."""
        return [json.loads(line) for line in (self.run_dir(name) / "ledger.jsonl").read_text().splitlines()]

    def metrics(self, name: str) -> list[dict[str, Any]]:
        """Complete lines of the run's metrics so far."""
        path = self.run_dir(name) / "metrics.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def losses(self, name: str) -> list[tuple[int, str]]:
        """(step, hex loss) of every step."""
        return [(line["step"], line["loss_hex"]) for line in self.metrics(name) if line["event"] == "step"]

    def log(self, job: str) -> str:
        """A job's log, for the message of a failed assertion too."""
        found = list(self.path.rglob(f"logs/slurm/*-{job}.log"))
        return found[0].read_text() if found else f"no log of job {job}"

    def ended(self, job: str, state: str = "COMPLETED", seconds: float = 240) -> dict[str, str]:
        """Wait for a job to end in `state`."""
        self.cluster.wait_for(lambda: self._over(job), seconds, f"end of {job}", ASKING_EVERY_S)
        found = self.cluster.jobs()[job]
        assert found["JobState"] == state, f"{found}\n{self.log(job)}"
        return found

    def _over(self, job: str) -> bool:
        return self.cluster.jobs()[job]["JobState"] not in WAITING

    def checkpoints(self, name: str) -> list[int]:
        """Steps of the complete checkpoints."""
        places = (self.run_dir(name) / "checkpoints").glob("step-*")
        return sorted(int(path.name[5:]) for path in places if re.fullmatch(r"step-\d+", path.name))


WAITING = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED")


def name_of(config: Path, overrides: tuple[str, ...]) -> str:
    """Name of the run that a config and its overrides describe."""
    given = [item.removeprefix("name=") for item in overrides if item.startswith("name=")]
    return given[-1] if given else re.findall(r"^name: (\S+)", config.read_text(), re.M)[0]


@contextmanager
def desk(cluster: Cluster, path: Path) -> Iterator[Desk]:
    """A desk whose cluster is tidied when the test ends, however it ends: the next test has the same nodes."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield Desk(cluster, path)
    finally:
        cluster.tidy()
    shutil.rmtree(path, ignore_errors=True)
