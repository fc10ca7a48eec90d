"""The corpus job on two nodes: both do shards, and losing one of them changes no byte of the result."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.conftest import fill
from tests.slurm.rig.cluster import Cluster
from tests.slurm.running import HERE, desk

SETTINGS = ("cluster.account=project_465000000", f"cluster.name={HERE / 'dask-nodes.yaml'}", "cluster.corpus_nodes=2")
# A lost node is noticed when TCP gives it up, after 30 s unless told otherwise.
SOON = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s"}


def test_a_node_lost_in_the_corpus_job_changes_nothing(lumi: Cluster, tmp_path: Path) -> None:
    alone = fill(tmp_path / "alone", documents_per_language=300, files=8)
    alone.run("run", "small.yaml", "--until", "tokenizer")
    with desk(lumi, tmp_path / "desk") as here:
        workspace = fill(here.path, documents_per_language=300, files=8)
        run_dir = here.run_dir("small")
        here.eurolm("launch", "small.yaml", *SETTINGS, "--dry-run")
        job = lumi.run("sbatch", "--parsable", "slurm/corpus.sbatch", cwd=run_dir, environment=SOON).stdout.strip()
        lumi.wait_for(
            lambda: re.search("measure: shards done|ended before", here.log(job)) is not None, 120, "a first pass"
        )
        assert "measure: shards done" in here.log(job), here.log(job)
        head, second = lumi.run("scontrol", "show", "hostnames", lumi.jobs()[job]["NodeList"]).stdout.split()
        keys = list(run_dir.glob("dask/*/*"))
        lumi.kill_node(second)
        ended = here.ended(job)
        log = here.log(job)
        done = re.search(rf"measure: shards done (\d+) on {head}, (\d+) on {second}", log)
        assert done is not None and int(done[1]) + int(done[2]) == 16, log
        assert "Remove worker" in log, log
        assert ended["Restarts"] == "0"
        assert {oct(path.stat().st_mode & 0o077) for path in keys if path.exists()} <= {"0o0"}
        assert {path.name for path in keys} >= {"tls.key", "tls.crt", "scheduler.json"}
        assert not list(run_dir.glob("dask/*"))
        for stage in ("corpus", "tokenizer"):
            assert workspace.contents(stage) == alone.contents(stage)
    shutil.rmtree(alone.path)
