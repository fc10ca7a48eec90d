"""The corpus job: on one node the stage alone, on several a scheduler, workers and the stage as their client."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from eurolm.cluster.jobs import CORPUS, options, queue_of
from eurolm.cluster.profile import load_profile
from eurolm.cluster.render import render, render_all
from eurolm.cluster.workers import node_workers
from eurolm.machine.workers import BYTES_PER_WORKER
from tests.cluster.launch.orders import order

GOLDEN = Path(__file__).parents[1] / "golden" / "slurm" / "lumi-g" / "corpus-2-nodes.sbatch"


def test_script_for_several_nodes_is_as_reviewed() -> None:
    text = render(CORPUS, order(corpus_nodes=2))
    if os.environ.get("EUROLM_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_script_for_several_nodes_is_clean(tmp_path: Path) -> None:
    script = tmp_path / "corpus.sbatch"
    script.write_text(render(CORPUS, order(corpus_nodes=3, workdir=Path("/scratch/it's $(a) `b` $HOME"))))
    answer = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


def test_one_node_has_no_scheduler_and_starts_again_when_it_fails() -> None:
    text = render(CORPUS, order())
    assert "dask" not in text and "#SBATCH --no-kill" not in text
    assert "#SBATCH --no-kill" in render(CORPUS, order(corpus_nodes=2))


@pytest.mark.parametrize(("restarts", "asked"), [(0, ["requeue 7"]), (3, [])])
def test_a_node_that_cannot_be_reached_starts_the_job_again(tmp_path: Path, restarts: int, asked: list[str]) -> None:
    """The script itself, on stand-ins for Slurm's clients; srun cannot start a worker."""
    profile = load_profile("lumi-g").model_copy(update={"container": None, "environment": {}})
    given = order(profile=profile, workdir=tmp_path, corpus_nodes=2, environment=str(tmp_path))
    scripts, calls, log = given.run_dir / "slurm", tmp_path / "calls", tmp_path / "log"
    scripts.mkdir(parents=True)
    for name, text in render_all(given, (CORPUS,)).items():
        (scripts / name).write_text(text)
    (tmp_path / "bin").mkdir()
    refused = "srun: error: Task launch for StepId=7.0 failed on node nid2: Communication connection failure"
    hosts = 'if [ "$1" = show ]; then echo localhost; echo nid2; else echo "$*" >>"$CALLS"; fi'
    for name, text in {"python": "sleep 30", "scontrol": hosts, "srun": f"echo '{refused}' >&2; exit 1"}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    calls.touch()
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "CALLS": str(calls),
                   "SLURM_JOB_NODELIST": "x", "SLURM_RESTART_COUNT": str(restarts), "HOME": str(tmp_path)}  # fmt: skip
    with log.open("wb") as stream:
        script = ["bash", str(scripts / "corpus.sbatch")]
        ended = subprocess.run(script, env=environment, stdout=stream, stderr=stream, check=False, timeout=60)
    assert ended.returncode == 14, log.read_text()
    assert calls.read_text().splitlines() == asked


def test_more_nodes_than_the_small_partition_allows_go_to_the_large_one() -> None:
    profile = load_profile("lumi-g")
    for nodes, partition in ((4, "small"), (5, "standard")):
        config = order(corpus_nodes=nodes).config
        assert queue_of(CORPUS, config, profile).partition == partition
        assert {f"nodes={nodes}", "ntasks-per-node=1", f"partition={partition}"} <= set(
            options(CORPUS, config, profile)
        )


@pytest.mark.parametrize("site", ["lumi-g", "leonardo", "marenostrum5"])
def test_workers_fit_the_node(site: str) -> None:
    profile = load_profile(site)
    queue = queue_of(CORPUS, order(site, corpus_nodes=2).config, profile)
    workers = node_workers(profile, queue)
    assert 1 <= workers.count <= workers.cores
    assert workers.bytes_each >= BYTES_PER_WORKER
    memory = (queue.memory_gb_per_node or 0) * 10**9 or profile.cores.memory_bytes
    assert memory is None or workers.count * workers.bytes_each <= memory
