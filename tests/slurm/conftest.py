"""One real Slurm for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.slurm.rig.cluster import Cluster, cluster, why_not

REASON = why_not()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip this folder, with the reason, where no Slurm can be started."""
    for item in items:
        if REASON is not None and "tests/slurm" in str(item.path):
            item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture(scope="session")
def lumi() -> Iterator[Cluster]:
    """Four LUMI-shaped nodes."""
    with cluster("lumi", nodes=4) as started:
        yield started
