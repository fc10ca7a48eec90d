"""Preflight as a job on two nodes: a sick one is named, listed, and the job goes on by itself without it."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import fill
from tests.slurm.rig.cluster import Cluster
from tests.slurm.running import HERE, desk

from eurolm.cluster.excluded import excluded_nodes


def test_a_sick_node_is_excluded_and_the_job_starts_again_without_it(lumi: Cluster, tmp_path: Path) -> None:
    with desk(lumi, tmp_path / "desk") as here:
        fill(here.path, documents_per_language=8)
        settings = ("cluster.account=project_465000000", f"cluster.name={HERE / 'lumi-shaped.yaml'}", "cluster.nodes=2")
        here.eurolm("launch", "small.yaml", *settings, "--dry-run")
        run_dir = here.run_dir("small")
        first = lumi.nodes[0]
        injury = {"PYTHONPATH": str(HERE / "injuries" / "wrong_product"), "SICK_NODE": first}
        job = lumi.run("sbatch", "--parsable", "slurm/preflight.sbatch", cwd=run_dir, environment=injury).stdout.strip()
        ended = here.ended(job)
        log = here.log(job)
        assert ended["Restarts"] == "1"
        assert excluded_nodes(run_dir) == [first]
        assert first not in lumi.run("scontrol", "show", "hostnames", ended["NodeList"]).stdout.split()
        assert f"WRONG  canary: {first}, device 1 (rank 1): its matrix product has checksum" in log
        assert f"starting again without {first}" in log
        assert log.rstrip().endswith("passed")
        assert (run_dir / "preflight" / f"{job}-1" / "verdict.json").is_file()
