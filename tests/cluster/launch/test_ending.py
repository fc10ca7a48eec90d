"""What the ledger makes of the ends of training jobs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from eurolm.artifacts.ledger import events, record
from eurolm.cluster.ending import (
    actions_after,
    ends,
    newest_checkpoint,
    note_scoring,
    refuse_if_cancelled,
    unscored,
)
from eurolm.cluster.excluded import excluded_nodes
from eurolm.cluster.submit import last_launch
from eurolm.errors import StoppedError
from eurolm.train.state import TrainState
from eurolm.train.store import Progress


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run launched with two training jobs and an evaluation."""
    launch(tmp_path, {"train-1": "11", "train-2": "12", "evaluate": "13", "report": "14"})
    return tmp_path


def launch(run_dir: Path, jobs: dict[str, str]) -> None:
    record(run_dir, "launch", config="/c.yaml", overrides=["a=1"], cluster="lumi-g", user="anna")
    for name, job in jobs.items():
        record(run_dir, "job", name=name, kind=name.split("-")[0], job=job)


def said(run_dir: Path, job: str, code: int) -> list[str]:
    return [str(action) for action in actions_after(run_dir, job, code)]


def checkpoint(run_dir: Path, step: int, permanent: bool = False) -> None:
    place = run_dir / "checkpoints" / f"step-{step:08d}"
    place.mkdir(parents=True)
    progress = Progress(step, TrainState(samples=8 * step), 2, 1, {}, permanent)
    (place / "state.json").write_text(json.dumps(asdict(progress)))


def test_the_finishing_job_releases_and_cancels(run_dir: Path) -> None:
    assert said(run_dir, "11", 0) == ["release 13", "cancel 12"]
    # The surplus job started all the same: it says the same of what is left.
    assert said(run_dir, "12", 0) == ["release 13"]


def test_two_crashes_without_a_checkpoint_between_them_end_the_run(run_dir: Path) -> None:
    assert said(run_dir, "11", 14) == []
    assert said(run_dir, "12", 14) == ["cancel 13", "cancel 14"]


def test_what_an_earlier_launch_met_may_have_been_mended(run_dir: Path) -> None:
    assert said(run_dir, "11", 14) == []
    launch(run_dir, {"train-1": "21", "train-2": "22"})
    assert said(run_dir, "21", 14) == []
    assert said(run_dir, "22", 14) == []
    assert [event["code"] for event in ends(run_dir)] == [14, 14]


def test_an_unreachable_node_costs_no_place_in_the_chain_but_not_for_ever(run_dir: Path) -> None:
    def lost() -> list[str]:
        return [str(action) for action in actions_after(run_dir, "11", 14, ["nid2"], ["nid9"])]

    assert lost() == ["requeue"] and excluded_nodes(run_dir) == []
    assert lost() == lost() == ["requeue nid9,nid2"] and excluded_nodes(run_dir) == ["nid2"]
    assert lost() == []
    assert lost() == ["cancel 12", "cancel 13", "cancel 14"]


def test_a_lost_node_is_no_failure_of_the_run(run_dir: Path) -> None:
    assert said(run_dir, "11", 13) == []
    assert [str(action) for action in actions_after(run_dir, "12", 14, ["nid2"])] == ["requeue"]
    # The second failure without a checkpoint is this one.
    assert said(run_dir, "12", 13) == ["cancel 13", "cancel 14"]


def test_crashes_with_progress_go_on(run_dir: Path) -> None:
    assert said(run_dir, "11", 13) == []
    checkpoint(run_dir, 200)
    assert said(run_dir, "12", 14) == ["requeue"]
    assert [event["checkpoint"] for event in events(run_dir, "job-ended")] == [None, "step-00000200"]


def test_a_stop_between_two_crashes_counts_as_progress(run_dir: Path) -> None:
    assert said(run_dir, "11", 14) == []
    assert said(run_dir, "11", 10) == []
    assert said(run_dir, "12", 14) == ["requeue"]


def test_a_cancelled_run_is_not_requeued(run_dir: Path) -> None:
    record(run_dir, "cancelled", user="juris")
    assert said(run_dir, "12", 10) == []


def test_a_job_of_a_cancelled_launch_does_not_begin(run_dir: Path) -> None:
    refuse_if_cancelled(run_dir, "12")
    record(run_dir, "cancelled", user="juris")
    with pytest.raises(StoppedError, match="was cancelled"):
        refuse_if_cancelled(run_dir, "12")
    refuse_if_cancelled(run_dir, "99")
    # Nor after the run was launched again.
    launch(run_dir, {"train-1": "21"})
    refuse_if_cancelled(run_dir, "21")
    with pytest.raises(StoppedError):
        refuse_if_cancelled(run_dir, "12")


def test_the_scoring_of_a_checkpoint_is_no_part_of_the_chain(run_dir: Path) -> None:
    checkpoint(run_dir, 20, permanent=True)
    checkpoint(run_dir, 30)
    assert unscored(run_dir) == [20]
    note_scoring(run_dir, 20, "15")
    assert unscored(run_dir) == []
    # The evaluation draws the curves of these scores, and waits for them.
    assert said(run_dir, "11", 0) == ["release 13 15", "cancel 12"]
    assert said(run_dir, "12", 2) == ["cancel 13", "cancel 14"]


def test_a_job_submitted_by_hand_touches_no_other(run_dir: Path) -> None:
    assert said(run_dir, "99", 0) == [] and said(run_dir, "99", 2) == []


def test_the_last_launch_counts(run_dir: Path) -> None:
    record(run_dir, "cancelled", user="juris")
    launch(run_dir, {"train-1": "21"})
    found = last_launch(run_dir)
    assert found is not None and found.jobs == {"train-1": "21"} and not found.cancelled


def test_partial_checkpoints_do_not_count(tmp_path: Path) -> None:
    checkpoint(tmp_path, 3)
    (tmp_path / "checkpoints" / "step-00000009.partial-ab").mkdir()
    assert newest_checkpoint(tmp_path) == "step-00000003"
