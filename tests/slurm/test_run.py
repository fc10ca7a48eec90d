"""Whole runs on a real Slurm: sbatch, srun, node failures, the walltime signal, chains; ZeRO-1 over gloo between nodes
with their own addresses and their own /dev/shm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from tests.conftest import Workspace, text_from
from tests.slurm.rig.cluster import ASKING_EVERY_S, Cluster
from tests.slurm.running import ACCOUNT, Desk, desk

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"


@pytest.fixture
def at_desk(lumi: Cluster, tmp_path: Path) -> Iterator[Desk]:
    """A directory whose name a careless script would evaluate."""
    with desk(lumi, tmp_path / 'it\'s $(touch PWNED) "here"') as place:
        yield place
        assert not list(tmp_path.rglob("PWNED"))


def test_all_six_stages_on_two_nodes_with_two_ranks_each(at_desk: Desk) -> None:
    jobs = at_desk.launch(SMOKE, "lumi-shaped.yaml", "cluster.nodes=2", "cluster.training_jobs=2")
    again = at_desk.eurolm("launch", str(SMOKE), ACCOUNT, "--cluster", "lumi-g")
    assert "under way already" in again and at_desk.jobs("smoke") == jobs
    at_desk.ended(jobs["report"], seconds=240)
    run_dir, told = at_desk.run_dir("smoke"), at_desk.cluster.jobs()
    assert {told[jobs[name]]["JobState"] for name in jobs if name != "train-2"} == {"COMPLETED"}
    assert told[jobs["train-2"]]["JobState"] == "CANCELLED"
    assert told[jobs["train-1"]]["NodeList"] == "nid[005001-005002]"
    assert len(list(run_dir.glob(f"logs/train-{jobs['train-1']}-0/rank-*.log"))) == 4
    assert [step for step, _ in at_desk.losses("smoke")] == list(range(1, 25))
    for made in ("model/model.safetensors", "evaluation/results.json", "report/index.html"):
        assert (run_dir / made).is_file(), made
    screen = at_desk.eurolm("status", "smoke")
    assert "step 24 of 24 (100.0%)" in screen and "report done" in screen
    assert "no job failed" in at_desk.eurolm("doctor", "smoke")


def test_dead_nodes_and_a_stop_change_no_loss_and_the_chain_ends_early(
    at_desk: Desk, finished_workspace: Workspace
) -> None:
    """Power loss in mid-training of the second node, then of the first, which runs the batch script, rank 0 and the
    rendezvous → requeued and resumed; USR1 → saved, exit 10, the next job goes on; the job that finishes cancels the
    surplus one; a surplus job that starts all the same ends at once."""
    shutil.copytree(finished_workspace.path / "store", at_desk.path / "store", symlinks=True)
    text_from(finished_workspace, at_desk.path)
    cluster = at_desk.cluster
    # The checkpoint of step 20 is kept for good and scored while training goes on.
    (at_desk.path / "tiny.yaml").write_text("name: tiny\nabout: one task\ntasks: {scala-lv: {limit: 20}}\n")
    scored = ("train.permanent_every_tokens=10240", "evaluate.checkpoint_suite=tiny.yaml")
    shape = ("one-rank-a-node.yaml", "cluster.nodes=2", "cluster.training_jobs=3")
    jobs = at_desk.launch(at_desk.path / "small.yaml", *shape, *scored)
    first, second = jobs["train-1"], jobs["train-2"]

    cluster.wait_for(lambda: bool(at_desk.checkpoints("small")), 240, "a first checkpoint")
    lose_a_node(at_desk, first, 1)
    lose_a_node(at_desk, first, 0)
    # What Slurm sends for --signal=B:USR1@…; the walltime itself is in the next test.
    cluster.run("scancel", "--signal=USR1", "--batch", first)
    assert at_desk.ended(first, "FAILED")["ExitCode"] == "10:0", at_desk.log(first)

    at_desk.ended(second)
    assert resumed(at_desk) == 3
    cluster.wait_for_job(jobs["train-3"], "CANCELLED", seconds=20)
    assert at_desk.losses("small") == finished_workspace.losses()
    started = cluster.run("sbatch", "--parsable", "slurm/train.sbatch", cwd=at_desk.run_dir("small")).stdout.strip()
    surplus = at_desk.ended(started)
    assert seconds(surplus) < 10 and "training is finished" in at_desk.log(started)
    assert not list(at_desk.run_dir("small").glob(f"logs/train-{started}-*"))
    at_desk.ended(at_desk.jobs("small")["evaluate-step-20"])
    assert (at_desk.run_dir("small") / "evaluation" / "step-00000020" / "results.json").is_file()
    # Its dependency was the last training job, which is cancelled; the one that finished released it.
    cluster.wait_for_job(jobs["evaluate"], "RUNNING", "COMPLETED", seconds=20)


def lose_a_node(place: Desk, job: str, index: int) -> None:
    """Kill a node of a training job in mid-training, by its place in the job, and wait until the run is resumed."""
    cluster, before = place.cluster, int(place.cluster.jobs()[job]["Restarts"])
    node = cluster.run("scontrol", "show", "hostnames", cluster.jobs()[job]["NodeList"]).stdout.split()[index]
    assert (index == 0) == (cluster.jobs()[job]["BatchHost"] == node)
    cluster.wait_for(lambda: is_training(place), 240, "steps")
    cluster.kill_node(node)
    assert len(place.losses("small")) < 40, "the node died too late to show anything"
    told = "requeue after the loss of a node"
    cluster.wait_for(lambda: cluster.jobs()[job]["Restarts"] == str(before + 1), 60, told, ASKING_EVERY_S)
    cluster.start_node(node)
    # Sooner than the lease of the dead grows old: its job starts again, so it counts no more.
    cluster.wait_for(lambda: resumed(place) == before + 1, 100, "a resume")


def test_walltime_stops_four_nodes_and_two_go_on(at_desk: Desk, finished_workspace: Workspace) -> None:
    """Slurm's own signal before the time limit → saved, exit 10, requeued as the last of its chain; cancelled; launched
    again on two nodes, which convert the checkpoint and go on; cancelled in good order."""
    shutil.copytree(finished_workspace.path / "store", at_desk.path / "store", symlinks=True)
    text_from(finished_workspace, at_desk.path)
    config = at_desk.path / "small.yaml"
    # Longer than any time limit here; the shards are the same.
    config.write_text(
        config.read_text().replace("tokens: 20_480", "tokens: 5_120_000").replace("max_epochs: 8", "max_epochs: 9999")
    )
    cluster = at_desk.cluster
    jobs = at_desk.launch(config, "one-rank-a-node.yaml", "cluster.nodes=4", "cluster.training_jobs=1")
    train = jobs["train-1"]
    cluster.wait_for(lambda: len(at_desk.losses("small")) > 3, 200, "steps on four nodes")
    # Slurm sends the script's --signal=B:USR1@… when less than that is left.
    cluster.run("scontrol", "update", f"JobId={train}", "TimeLimit=5")
    restarted = "requeue at the end of the time"
    cluster.wait_for(lambda: cluster.jobs()[train]["Restarts"] == "1", 100, restarted, ASKING_EVERY_S)
    assert "requeue" in at_desk.log(train) and ended_with(at_desk) == [10]
    saved = at_desk.checkpoints("small")[-1]
    assert saved == at_desk.losses("small")[-1][0]
    at_desk.eurolm("cancel", "small", "--wait", "60")
    at_desk.ended(train, "CANCELLED")

    jobs = at_desk.launch(config, "one-rank-a-node.yaml", "cluster.nodes=2")
    train = jobs["train-1"]
    cluster.wait_for(lambda: bool(at_desk.losses("small")) and at_desk.losses("small")[-1][0] > saved + 3, 200,
                     "steps on two nodes")  # fmt: skip
    assert [line["step"] for line in at_desk.metrics("small") if line["event"] == "resume"] == [saved]
    said = at_desk.eurolm("cancel", "small", "--wait", "60")
    assert "asked to save and stop" in said and "did not stop" not in said
    assert at_desk.ended(train, "FAILED")["ExitCode"] == "10:0"
    assert at_desk.checkpoints("small")[-1] == at_desk.losses("small")[-1][0] > saved
    assert at_desk.cluster.jobs()[jobs["evaluate"]]["JobState"] == "CANCELLED"
    assert [step for step, _ in at_desk.losses("small")] == list(range(1, at_desk.losses("small")[-1][0] + 1))


def test_a_failed_stage_cancels_what_depends_on_it_and_is_explained(at_desk: Desk) -> None:
    config = at_desk.path / "broken.yaml"
    config.write_text(
        "name: broken\ncorpus: {sources: [{name: a, paths: [absent/*.jsonl], language: lv}]}\n"
        "mixture: {phases: [{tokens: 8192, row_tokens: 64, batch_rows: 8}]}\n"
    )
    jobs = at_desk.launch(config, "lumi-shaped.yaml", "cluster.nodes=2")
    assert at_desk.ended(jobs["corpus"], "FAILED")["ExitCode"] == "2:0"
    for name in jobs:
        if name != "corpus":
            at_desk.cluster.wait_for_job(jobs[name], "CANCELLED", seconds=20)
    screen = at_desk.eurolm("status", "broken")
    assert "corpus failed: `eurolm doctor broken` says why" in screen and "exit 2" in screen
    reason = at_desk.eurolm("doctor", "broken")
    assert "bad config or input" in reason and "absent/*.jsonl" in reason
    assert "cancelled because of it: encode, train-1, train-2, evaluate, report" in reason
    assert len(screen.splitlines()) < 24 and len(reason.splitlines()) < 24
    assert "absent/*.jsonl" in at_desk.eurolm("logs", "broken", "--lines", "5")


def test_a_rehearsal_measures_what_the_next_plan_uses(at_desk: Desk, finished_workspace: Workspace) -> None:
    shutil.copytree(finished_workspace.path / "store", at_desk.path / "store", symlinks=True)
    text_from(finished_workspace, at_desk.path)
    config, given = at_desk.path / "small.yaml", ("cluster.nodes=2", "train.micro_batch_rows=4")
    profile = at_desk.path / "two-at-most.yaml"
    parent = Path(__file__).parent / "one-rank-a-node.yaml"
    profile.write_text(f"extends: ['{parent}']\nname: two-at-most\nqueues: {{debug: {{max_nodes: 2}}}}\n")
    jobs = at_desk.launch(config, str(profile), *given, options=("--rehearse",))
    assert list(jobs) == ["corpus", "encode", "rehearse"]
    told = at_desk.ended(jobs["rehearse"], seconds=200)
    assert told["Partition"] == "dev-g" and told["NumNodes"] == "2"
    measured = json.loads((at_desk.run_dir("small") / "rehearsal.json").read_text())
    assert [(run["nodes"], run["ranks"], run["steps"]) for run in measured["runs"]] == [(1, 1, 25), (2, 2, 25)]
    assert all(run["tokens_per_s_per_device"] > 0 for run in measured["runs"]) and measured["start_s"] > 0
    assert measured["save_s"] > 0 and [path.name for path in (at_desk.path / "runs").iterdir()] == ["small"]
    at_desk.eurolm("plan", str(config), f"cluster.name={profile}", ACCOUNT, *given)
    plan = json.loads((at_desk.run_dir("small") / "plan.json").read_text())
    speed = measured["runs"][1]["tokens_per_s_per_device"]
    assert plan["measured"] and plan["tokens_per_s_per_device"]["middle"] == pytest.approx(speed)


def is_training(place: Desk) -> bool:
    """Whether the small run has made steps since it started last."""
    events = [line["event"] for line in place.metrics("small")]
    return bool(events) and events[-1] != "resume"


def resumed(place: Desk) -> int:
    """How often the small run was resumed."""
    return sum(line["event"] == "resume" for line in place.metrics("small"))


def ended_with(place: Desk) -> list[int]:
    """Exit codes of the training jobs that ended, in order."""
    return [event["code"] for event in place.ledger("small") if event["event"] == "job-ended"]


def seconds(job: dict[str, str]) -> float:
    """Run time of an ended job."""
    start, end = (datetime.fromisoformat(job[name]) for name in ("StartTime", "EndTime"))
    return (end - start).total_seconds()
