"""Job scripts of the three sites before a Slurm with that site's partitions, QOS and limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.launch.orders import order
from tests.slurm.rig.accounting import why_no_accounting
from tests.slurm.rig.cluster import PATH, Cluster, cluster, said

from eurolm.cluster.jobs import KINDS, TRAIN
from eurolm.cluster.render import render


@pytest.fixture(scope="module", params=["leonardo", "marenostrum5"])
def accounted(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A site whose limits hang on QOS, which need slurmdbd."""
    reason = why_no_accounting(PATH)
    if reason is not None:
        pytest.skip(reason)
    with cluster(request.param, nodes=2, accounting=True) as started:
        yield started


def tried(site: Cluster, script: str, folder: Path) -> tuple[int, str]:
    """Exit status and words of `sbatch --test-only`."""
    path = folder / "job.sbatch"
    path.write_text(script)
    answer = site.run("sbatch", "--test-only", str(path), cwd=folder, expect=None)
    return answer.returncode, said(answer)


def test_lumi_accepts_every_script(lumi: Cluster, tmp_path: Path) -> None:
    for kind in KINDS:
        code, words = tried(lumi, render(kind, order("lumi-g", nodes=4)), tmp_path)
        assert code == 0, (kind.name, words)


@pytest.mark.parametrize(
    ("line", "instead", "words"),
    [
        ("time=2-00:00:00", "time=2-00:01:00", "time limit"),
        ("gpus-per-node=8", "gpus-per-node=9", "node configuration is not available"),
        ("cpus-per-task=7", "cpus-per-task=8", "node configuration is not available"),
        ("partition=standard-g", "partition=standard-x", "invalid partition"),
    ],
)
def test_lumi_refuses_what_lumi_refuses(lumi: Cluster, tmp_path: Path, line: str, instead: str, words: str) -> None:
    """The rig is no yes-sayer: one step over a limit, 64 cores among them, is refused."""
    script = render(TRAIN, order("lumi-g"))
    assert line in script
    code, told = tried(lumi, script.replace(line, instead), tmp_path)
    assert code != 0 and words in told.lower(), told


def test_sites_with_qos_accept_every_script_and_enforce_their_limits(accounted: Cluster, tmp_path: Path) -> None:
    site = accounted.layout.site.name
    for kind in KINDS:
        code, words = tried(accounted, render(kind, order(site)), tmp_path)
        assert code == 0, (kind.name, words)
    script = render(TRAIN, order(site))
    qos = "boost_qos_dbg" if site == "leonardo" else "acc_debug"
    for change in (
        (f"account={accounted.layout.site.account}", "account=nobody"),
        ("qos=", "qos=none"),
        (f"qos={'normal' if site == 'leonardo' else 'acc_ehpc'}", f"qos={qos}"),
    ):
        code, words = tried(accounted, script.replace(*change), tmp_path)
        assert code != 0, (change, words)
