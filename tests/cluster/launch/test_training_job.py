"""What the script of a training job does when Slurm or the ranks fail it: the script itself runs, on stand-ins for
Slurm's clients and for the ranks; what follows from the end is decided by eurolm itself."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cluster.launch.orders import order

from eurolm.artifacts.ledger import events, record
from eurolm.cluster import render
from eurolm.cluster.excluded import excluded_nodes
from eurolm.cluster.jobs import TRAIN
from eurolm.cluster.profile import load_profile
from eurolm.cluster.render import render_all

PYTHON = f"""#!/bin/bash
case "$4" in
  prepare) mkdir -p logs && echo "$PWD/logs/spec.json" ;;
  conclude) exit 14 ;;
  *) exec {sys.executable} "$@" ;;
esac
"""
SCONTROL = '#!/bin/bash\nif [ "$1" = show ]; then echo nid005001; echo nid005002; else echo "$*" >>"$CALLS"; fi\n'
UNREACHABLE = """#!/bin/bash
echo "srun: error: Task launch for StepId=11.0 failed on node nid005002: Communication connection failure" >&2
exit 1
"""
CRASHES = "#!/bin/bash\nexit 1\n"
COPIES = """#!/bin/bash
mkdir -p "$RUN/checkpoints/step-00000009.partial-ab"
for _ in 1 2 3 4 5 6 7 8 9; do sleep 1; date >"$RUN/checkpoints/step-00000009.partial-ab/rank.safetensors"; done
"""
HANGS = """#!/bin/bash
trap 'echo "  File \\"loss.py\\", line 7 in backward" >>"$EUROLM_LOGS/rank-0.log"' USR2
trap 'exit 143' TERM
while :; do sleep 0.1; done
"""


class Job:
    """Job 11 of a launched chain of two, on two nodes of which one is known to be bad."""

    def __init__(self, root: Path, silent_s: int) -> None:
        config = root / "c.yaml"
        config.write_text("name: baltic-1b\ncluster: {exclude: [nid000009]}\n")
        profile = load_profile("lumi-g").model_copy(update={"container": None, "environment": {}})
        given = order(profile=profile, workdir=root, config_file=config, environment=str(root), preflight=False)
        given = replace(given, silent_s=silent_s)
        self.run_dir, self.bin, self.calls, self.log = given.run_dir, root / "bin", root / "calls", root / "log"
        scripts = self.run_dir / "slurm"
        scripts.mkdir(parents=True)
        for name, text in render_all(given, (TRAIN,)).items():
            (scripts / name).write_text(text)
        self.bin.mkdir()
        for name, text in {"python": PYTHON, "scontrol": SCONTROL, "scancel": "#!/bin/bash\n"}.items():
            self.program(name, text)
        self.calls.touch()
        record(self.run_dir, "launch", config=str(config), overrides=[], cluster="lumi-g", user="anna")
        for number, name in enumerate(("train-1", "train-2", "evaluate")):
            record(self.run_dir, "job", name=name, kind=name, job=str(11 + number))

    def program(self, name: str, text: str) -> None:
        """Put a stand-in on PATH."""
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def run(self, srun: str) -> tuple[int, list[str]]:
        """Run the job with such an srun; its exit code and what it asked of scontrol."""
        self.program("srun", srun)
        self.calls.write_text("")
        environment = {"PATH": f"{self.bin}:/usr/bin:/bin", "SLURM_JOB_ID": "11", "CALLS": str(self.calls),
                       "SLURM_JOB_NODELIST": "nid[005001-005002]", "SLURM_JOB_END_TIME": "4102444800",
                       "HOME": os.environ["HOME"], "RUN": str(self.run_dir)}  # fmt: skip
        with self.log.open("ab") as log:
            script = ["bash", str(self.run_dir / "slurm" / "train.sbatch")]
            ended = subprocess.run(script, env=environment, stdout=log, stderr=log, timeout=180, check=False)
        return ended.returncode, self.calls.read_text().splitlines()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "LOOK_EVERY_S", 0.2)


def test_an_unreachable_node_is_a_lost_node_and_excluded_when_met_again(tmp_path: Path) -> None:
    job = Job(tmp_path, silent_s=60)
    assert job.run(UNREACHABLE) == (14, ["requeue 11"])
    assert excluded_nodes(job.run_dir) == []
    again = ["requeue 11", "update JobId=11 ExcNodeList=nid000009,nid005002"]
    assert job.run(UNREACHABLE) == (14, again) and excluded_nodes(job.run_dir) == ["nid005002"]
    # What the log holds of earlier attempts is not this attempt's; and a lost node is no failure of the run.
    assert job.run(CRASHES) == (14, [])
    assert [event["unreachable"] for event in events(job.run_dir, "job-ended")] == [["nid005002"], ["nid005002"], []]
    assert "cancel 12" not in job.log.read_text()


def test_ranks_that_hang_say_where_and_the_job_ends_with_13(tmp_path: Path) -> None:
    job = Job(tmp_path, silent_s=1)
    assert job.run(HANGS) == (13, [])
    said = job.log.read_text()
    assert "error: no rank has written anything for 1 s: the training hangs" in said
    assert "line 7 in backward" in (job.log.parent / "logs" / "rank-0.log").read_text()
    assert [event["code"] for event in events(job.run_dir, "job-ended")] == [13]


def test_a_checkpoint_on_its_way_to_a_slow_disk_is_no_silence(tmp_path: Path) -> None:
    """Nine seconds of copying, where six of silence are a hang."""
    job = Job(tmp_path, silent_s=6)
    assert job.run(COPIES)[0] == 14, "no verdict, as the stand-in writes none"
    assert "hangs" not in job.log.read_text()
