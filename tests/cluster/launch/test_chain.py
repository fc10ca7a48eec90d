"""Which jobs a run becomes, and what a training job does with the others when it ends."""

from __future__ import annotations

import pytest

from eurolm.cluster.chain import Action, chain, follow_up
from eurolm.cluster.jobs import KINDS

IDS = {"corpus": "1", "encode": "2", "train-1": "3", "train-2": "4", "train-3": "5", "evaluate": "6", "report": "7"}
AFTER_FIRST = {"4", "5", "6", "7"}


def follow(code: int, job: str = "3", active: set[str] = AFTER_FIRST, cancelled: bool = False, progressed: bool = True):
    told = follow_up(code, job, IDS, active, cancelled=cancelled, progressed=progressed)
    return [str(action) for action in told]


def test_dependencies() -> None:
    planned = chain(KINDS, 3)
    assert [job.name for job in planned] == list(IDS)
    told = {job.name: job.dependency(IDS) for job in planned}
    assert told["corpus"] == "" and told["encode"] == "afterok:1" and told["train-1"] == "afterok:2"
    # A training job that failed for want of its shards must not let the next one start.
    assert told["train-2"] == "afterok:2,afterany:3" and told["train-3"] == "afterok:2,afterany:4"
    assert told["evaluate"] == "afterok:5" and told["report"] == "afterok:6"


def test_the_job_that_finishes_releases_the_evaluation_and_then_cancels_its_successors() -> None:
    assert follow(0) == ["release 6", "cancel 4", "cancel 5"]
    assert follow(0, job="5", active={"6", "7"}) == ["release 6"]


def test_a_stop_in_good_order_leaves_the_rest_to_the_next_job() -> None:
    assert follow(10) == []


def test_the_last_job_goes_on_as_itself() -> None:
    assert follow(10, job="5", active={"6", "7"}) == ["requeue"]
    assert follow(10, job="5", active={"6", "7"}, cancelled=True) == []


@pytest.mark.parametrize("code", [2, 11, 12])
def test_what_would_only_repeat_ends_the_run(code: int) -> None:
    assert follow(code) == ["cancel 4", "cancel 5", "cancel 6", "cancel 7"]


@pytest.mark.parametrize("code", [13, 14, 1])
def test_a_crash_is_tried_again_once_without_progress(code: int) -> None:
    assert follow(code) == []
    assert follow(code, progressed=False) == ["cancel 4", "cancel 5", "cancel 6", "cancel 7"]


def test_actions_print_as_the_batch_shell_reads_them() -> None:
    assert str(Action("release", "6", ("8", "9"))) == "release 6 8:9"
    assert str(Action("requeue")) == "requeue" and str(Action("cancel", "12")) == "cancel 12"
