"""Status and doctor of a run, from the states Slurm tells and the files the run left."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from eurolm.artifacts.ledger import record
from eurolm.cluster.doctor import SIGNS, examine
from eurolm.cluster.doctor import shown as diagnosis
from eurolm.cluster.plan_record import Deviation
from eurolm.cluster.progress import Progress, finished_stages, training_progress
from eurolm.cluster.scheduler import JobState
from eurolm.cluster.status import Status, shown
from eurolm.cluster.submit import Launch

NOW = datetime(2026, 11, 28, 12, 0)
FACTS = {"time": "2026-11-27T08:00:00+00:00", "user": "anna", "cluster": "lumi-g", "config": "c.yaml", "overrides": []}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-xdist gives its processes 80 columns."""
    monkeypatch.setenv("COLUMNS", "100")


def launch(run_dir: Path, names: list[str]) -> Launch:
    return Launch(run_dir, FACTS, {name: str(10 + number) for number, name in enumerate(names)}, False)


def state_of(name: str, **facts: object) -> JobState:
    return JobState(name, **{"state": "COMPLETED", "exit_code": "0:0", **facts})


def write_steps(run_dir: Path, count: int) -> None:
    lines = [
        {"event": "step", "step": n, "tokens_per_s": 1000.0 + n, "step_s": 2.0, "loss": 3.0, "peak_memory_bytes": 5}
        for n in range(1, count + 1)
    ]
    lines.append({"event": "checkpoint", "step": count, "blocked_s": 1.5})
    (run_dir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "st')


def test_progress_of_a_long_file_is_read_from_its_end(tmp_path: Path) -> None:
    write_steps(tmp_path, 3000)
    found = training_progress(tmp_path, 4000)
    assert found == Progress(3000, 4000, 3975.5, 2.0, 3.0, 1.5, 5)
    assert found.share == 0.75 and found.seconds_left == 2000.0
    assert training_progress(tmp_path / "absent", 10) is None


def test_stages_come_from_the_ledger(tmp_path: Path) -> None:
    record(tmp_path, "artifact", stage="corpus")
    record(tmp_path, "stage", stage="tokens", seconds=61.4)
    record(tmp_path, "trained")
    assert finished_stages(tmp_path) == {"corpus": None, "tokens": 61.4, "train": None}


def test_the_screen_shows_stages_jobs_progress_and_alarms(tmp_path: Path) -> None:
    jobs = {
        "encode": state_of("10"),
        "train-1": state_of("11", state="FAILED", exit_code="10:0"),
        "train-2": state_of("12", state="RUNNING", end="2026-11-29T10:00:00", nodes="nid[005001-005002]", restarts=1),
        "evaluate": state_of("13", state="PENDING", reason="Dependency", exit_code=""),
    }
    slow = Deviation(
        "tokens/s per device", 1600, 1000, False, True, "tokens/s per device: 1,000 measured, 1,600 planned (-38%)"
    )
    progress = Progress(100, 400, 16_000.0, 36.0, 2.5, 1.0, None)
    screen = shown(Status("baltic", launch(tmp_path, list(jobs)), jobs, {"tokens": 61.4}, progress, [slow]), NOW)
    text = "\n".join(screen)
    assert "step 100 of 400 (25.0%), loss 2.5000, 16,000 tokens/s" in text
    assert "3:00:00 of training left: 2026-11-28 15:00 without queueing" in text
    assert "ALARM     tokens/s per device: 1,000 measured, 1,600 planned (-38%)" in text
    assert "tokens done (0:01:01)" in text and "report –" in text
    assert "stopped in good order" in " ".join(text.split()) and "until 29 Nov 10:00, 1 restart" in text
    # A stop in good order is not a failure.
    assert "doctor" not in text


@pytest.mark.parametrize("columns", ["80", "120"])
def test_a_long_chain_is_one_screen(tmp_path: Path, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    where = "nid[005001-005192]"
    jobs = {"encode": state_of("10"), "train-1": state_of("11", state="FAILED", exit_code="13:0", nodes=where)}
    jobs["train-2"] = state_of("12", state="RUNNING", end="2026-11-29T10:00:00", nodes=where, restarts=2)
    jobs |= {f"train-{n}": state_of(str(10 + n), state="PENDING", reason="Dependency") for n in range(3, 47)}
    jobs |= {f"evaluate-step-{n}": state_of(str(100 + n)) for n in range(12)}
    text = (
        "the ranks ended without a verdict. See /scratch/project_465000000/anna/runs/baltic/logs/train-11-0; the same"
    )
    (tmp_path / "logs" / "slurm").mkdir(parents=True)
    (tmp_path / "logs" / "slurm" / "train-11.log").write_text(f"error: {text}\n")
    found = Status("baltic", launch(tmp_path, []), jobs, {}, Progress(100, 400, 16_000.0, 36.0, 2.5, 1.0, None), [])
    found = replace(found, launch=replace(found.launch, jobs={name: job.job for name, job in jobs.items()}))
    screen, reason = shown(found, NOW), diagnosis(found, examine(found, 0.0))
    for lines in (screen, reason):
        # A path is one word, however long.
        assert len(lines) < 24 and all(len(line) <= int(columns) for line in lines if "whole log" not in line)
    assert any(line.startswith("train-3…46") and "13…56" in line for line in screen)
    assert "12 checkpoints scored" in screen
    # Wrapped, not cut; and the chain is still alive.
    assert text in " ".join(" ".join(reason).split())
    assert "The run goes on: train-2 (running), train-3 (pending), train-4 (pending) …" in " ".join(reason)


def examined(run_dir: Path, job: JobState, log: str, name: str = "corpus") -> str:
    place = run_dir / "logs" / "slurm"
    place.mkdir(parents=True)
    (place / f"{name.split('-')[0]}-10.log").write_text(log)
    found = Status(
        "baltic",
        launch(run_dir, [name, "evaluate"]),
        {name: job, "evaluate": state_of("11", state="CANCELLED")},
        {},
        None,
        [],
    )
    return "\n".join(diagnosis(found, examine(found, 0.0)))


def test_doctor_shows_the_error_and_not_the_noise_before_it(tmp_path: Path) -> None:
    log = "".join(f"  measure: {n} of 90 shards\n" for n in range(90)) + "error: corpus.sources.0.paths: no file.\n"
    text = examined(tmp_path, state_of("10", state="FAILED", exit_code="2:0", nodes="nid001001"), log)
    assert "corpus (job 10 on nid001001) failed, exit 2: bad config or input" in text
    assert "error: corpus.sources.0.paths: no file." in text and "measure: 3 of 90" not in text
    assert "cancelled because of it: evaluate" in text and "Nothing is running" in text


def test_doctor_tells_a_crash_from_the_rank_that_wrote_last(tmp_path: Path) -> None:
    ranks = tmp_path / "logs" / "train-10-0"
    ranks.mkdir(parents=True)
    (ranks / "rank-3.log").write_text("torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2 GiB\n")
    (tmp_path / "verdict-10-0.json").write_text(json.dumps({"code": 14, "message": "rank 3 died"}))
    text = examined(tmp_path, state_of("10", state="FAILED", exit_code="14:0"), "error: no verdict\n", "train-1")
    assert "the environment failed. rank 3 died" in text and "HIP out of memory" in text
    assert "the memory of a device ran out" in text and "train.micro_batch_rows" in text


def test_doctor_shows_where_a_hung_rank_stands(tmp_path: Path) -> None:
    ranks = tmp_path / "logs" / "train-10-0"
    ranks.mkdir(parents=True)
    frames = "".join(f'  File "frame{number}.py", line {number} in f\n' for number in range(40))
    (ranks / "rank-0.log").write_text(f"step 3\nCurrent thread 0x7f (most recent call first):\n{frames}")
    log = "error: no rank has written anything for 1800 s: the training hangs\n"
    text = examined(tmp_path, state_of("10", state="FAILED", exit_code="13:0"), log, "train-1")
    assert "exit 13: a hang" in text and 'File "frame0.py"' in text and 'File "frame39.py"' not in text
    assert "remedy nothing once: the next job of the chain resumes" in " ".join(text.split())


@pytest.mark.parametrize(
    ("log", "meaning"),
    [
        ("slurmstepd: error: *** JOB 10 ON nid005001 CANCELLED DUE TO TIME LIMIT ***", "time limit"),
        ("srun: error: Node failure on nid005002", "a node died"),
        ("srun: error: Task launch for StepId=1.0 failed on node nid1: Communication failure", "could not start"),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=10.0", "memory ran out"),
        ("OSError: [Errno 122] Disk quota exceeded: '/users/anna/.cache'", "a storage area is full"),
        ("/opt/venv/bin/python: No module named eurolm", "has no eurolm"),
        ("cxil_alloc_evtq: Cassini Event Queue overflow detected.", "event queue is too short"),
        ("bash: line 3: singularity: command not found", "container cannot be started"),
        ("Lmod has detected the following error: The following module(s) are unknown", "module of the profile"),
    ],
)  # fmt: skip
def test_doctor_knows_what_texts_of_slurm_and_its_neighbours_mean(tmp_path: Path, log: str, meaning: str) -> None:
    text = examined(tmp_path, state_of("10", state="FAILED", exit_code="1:0"), log + "\n")
    assert meaning in text and "  remedy    " in text


def test_doctor_finds_a_training_that_hangs(tmp_path: Path) -> None:
    write_steps(tmp_path, 30)
    written = (tmp_path / "metrics.jsonl").stat().st_mtime
    jobs = {"train-1": state_of("10", state="RUNNING", nodes="nid005001")}
    found = Status(
        "baltic", launch(tmp_path, ["train-1"]), jobs, {}, Progress(30, 90, None, 60.0, None, None, None), []
    )
    # Twenty steps of a minute each.
    assert examine(found, written + 1100) == []
    text = "\n".join(diagnosis(found, examine(found, written + 1300)))
    assert "runs, but has written nothing for 22 minutes: it hangs" in text and "remedy    eurolm cancel " in text


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("Priority", "its turn has not come"),
        ("AssocGrpBillingMinutes", "the project's budget does not cover it"),
        ("QOSMaxJobsPerUserLimit", "as many jobs run as the user or the project may have"),
        ("AssocGrpGRES", "others of the project use"),
        ("ReqNodeNotAvail, UnavailableNodes:nid005001", "down or reserved"),
        ("PartitionTimeLimit", "it never starts"),
        ("launch failed requeued held", "scontrol release"),
        ("BeginTime", "holds a requeued job back"),
        ("SomethingNew", "train-1 waits (SomethingNew)"),
    ],
)
def test_doctor_says_what_a_job_waits_for(tmp_path: Path, reason: str, meaning: str) -> None:
    jobs = {
        "encode": state_of("10"),
        "train-1": state_of("11", state="PENDING", reason=reason),
        "train-2": state_of("12", state="PENDING", reason="Dependency"),
    }
    found = Status("baltic", launch(tmp_path, list(jobs)), jobs, {}, None, [])
    lines = diagnosis(found, examine(found, 0.0))
    text = " ".join(" ".join(lines).split())
    assert text.startswith("baltic: no job failed. train-1 waits (") and meaning in text
    assert text.endswith("train-2 waits (Dependency): until the jobs before it have ended")


def test_of_a_chain_the_last_failure_comes_first(tmp_path: Path) -> None:
    jobs = {f"train-{n}": state_of(str(10 + n), state="FAILED", exit_code="14:0") for n in (0, 1, 2)}
    found = Status("baltic", launch(tmp_path, list(jobs)), jobs, {}, None, [])
    assert [finding.job for finding in examine(found, 0.0)] == ["train-2", "train-1", "train-0"]


def test_every_sign_says_what_helps() -> None:
    assert all(sign.meaning and sign.remedy for sign in SIGNS)
