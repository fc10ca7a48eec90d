"""One real Slurm for all tests of this folder, and one undisturbed run that theirs are compared with."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.conftest import Workspace, fill
from tests.slurm.rig.cluster import Cluster, cluster, why_not

REASON = why_not()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip this folder, with the reason, where no Slurm can be started, but fail where `.ci/run` promises one; give
    whole runs time where cores are shared."""
    if REASON is not None and os.environ.get("EUROLM_TEST_SLURM") == "required":
        raise pytest.UsageError(f"tests/slurm must run here, and cannot: {REASON}")
    for item in items:
        if "tests/slurm" in str(item.path):
            item.add_marker(pytest.mark.timeout(600))
            if REASON is not None:
                item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture(scope="session")
def lumi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four LUMI-shaped nodes."""
    with cluster("lumi", nodes=4, used=(tmp_path_factory.getbasetemp(),)) as started:
        yield started


@pytest.fixture(scope="session")
def finished_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The small run up to its training, undisturbed: these tests read its artifacts and its losses, no scores."""
    workspace = fill(tmp_path_factory.mktemp("trained") / "work")
    workspace.run("run", "small.yaml", "--until", "train")
    return workspace
