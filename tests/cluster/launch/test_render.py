"""Rendered job scripts: as reviewed, clean, and without what breaks training on these machines."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.cluster.launch.orders import SITES, order

from eurolm.cluster.jobs import EVALUATE, EVALUATE_STEP, KINDS, TRAIN, options, signal_seconds
from eurolm.cluster.render import bound_directories, render, render_all
from eurolm.errors import ConfigError

GOLDEN = Path(__file__).parents[2] / "golden" / "slurm"


@pytest.mark.parametrize("site", SITES)
def test_scripts_are_as_reviewed(site: str) -> None:
    """Golden files, one directory a site. `EUROLM_GOLDEN=write` renders them again, for review in the diff."""
    for name, text in render_all(order(site)).items():
        golden = GOLDEN / site / name
        if os.environ.get("EUROLM_GOLDEN") == "write":
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text(text)
        assert text == golden.read_text(), f"{golden} differs"


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_are_clean(tmp_path: Path) -> None:
    for site in SITES:
        for name, text in render_all(order(site, workdir=Path("/scratch/it's $(a) `b` $HOME"))).items():
            (tmp_path / f"{site}-{name}").write_text(text)
    answer = subprocess.run(["shellcheck", *tmp_path.iterdir()], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("site", SITES)
def test_no_script_holds_what_breaks_training(site: str) -> None:
    given = order(site)
    for text in render_all(given).values():
        # The reasons for leaving them out stand in comments.
        code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("# "))
        for option in given.profile.slurm.forbidden_options:
            assert option not in code


def test_training_job_carries_what_a_chain_needs() -> None:
    text = render(TRAIN, order(time_limit_hours=2.0))
    head = {line.removeprefix("#SBATCH --") for line in text.splitlines() if line.startswith("#SBATCH")}
    assert {"requeue", "open-mode=append", "kill-on-invalid-dep=yes", "signal=B:USR1@360", "nodes=2"} <= head
    assert {"time=0-02:00:00", "gpus-per-node=8", "cpus-per-task=7", "ntasks-per-node=8", "mem=480G"} <= head
    step = re.sub(r"\\\n\s*", "", text)
    line = next(line for line in step.splitlines() if "eurolm.train.rank" in line)
    assert "srun " in line and "--cpus-per-task=7" in line and "--kill-on-bad-exit=1" in line
    assert "--ntasks-per-node=8" in line and 'train_on 2 "$spec"' in step
    masks = order().profile.cores.device_masks
    assert f"--cpu-bind=mask_cpu:{','.join(masks)}" in line and len(masks) == 8
    assert "train.ranks=16" in text


@pytest.mark.parametrize(("limit", "expected"), [(172_800, 600), (3600, 180), (600, 60), (60, 30)])
def test_signal_comes_in_time(limit: int, expected: int) -> None:
    assert signal_seconds(limit) == expected


def test_large_runs_get_the_queue_for_their_size() -> None:
    small, large = order("leonardo", nodes=64), order("leonardo", nodes=100)
    assert "qos=normal" in options(TRAIN, small.config, small.profile)
    assert "qos=boost_qos_bprod" in options(TRAIN, large.config, large.profile)


@pytest.mark.parametrize(
    ("site", "queue", "share"),
    [
        ("lumi-g", "partition=small-g", {"cpus-per-task=7", "gpus-per-node=1", "mem=60G"}),
        ("leonardo", "qos=normal", {"cpus-per-task=8", "gpus-per-node=1", "mem=120G"}),
        ("marenostrum5", "qos=acc_ehpc", {"cpus-per-task=20", "gpus-per-node=1"}),
    ],
)
def test_scoring_uses_one_device_and_pays_for_one(site: str, queue: str, share: set[str]) -> None:
    given = order(site)
    for kind in (EVALUATE, EVALUATE_STEP):
        asked = set(options(kind, given.config, given.profile))
        assert {queue, "time=0-12:00:00", "nodes=1", *share} <= asked and "exclusive" not in asked


def test_masks_on_shared_nodes_need_whole_ones() -> None:
    given = order("lumi-g", partition="dev-g")
    assert "exclusive" in options(TRAIN, given.config, given.profile)
    whole = order("lumi-g")
    assert "exclusive" not in options(TRAIN, whole.config, whole.profile), "standard-g gives nothing else"


def test_what_the_login_shell_holds_does_not_reach_the_job(tmp_path: Path) -> None:
    text = render_all(order(), ())["environment.sh"]
    assert text.index("for old in") < text.index("module use")
    lines = [line for line in text.splitlines() if not line.startswith("module ")]
    script = "\n".join(lines).replace("/scratch/project_465000000/anna", str(tmp_path))
    old = "/appl/local/csc/soft/ai/bin"
    environment = {"PATH": f"{old}:/usr/bin:{old}:/bin:/opt/a b", "PYTHONPATH": "/appl/lumi", "HOME": str(tmp_path),
                   "NCCL_NET_GDR_LEVEL": "PHB", "SLURM_JOB_ID": tmp_path.name}  # fmt: skip
    script += '\necho "$PATH ${PYTHONPATH-}$PYTHONNOUSERSITE${NCCL_NET_GDR_LEVEL-}"'
    command = ["bash", "-eo", "pipefail", "-c", f"module() {{ :; }}\n{script}"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "/usr/bin:/bin:/opt/a b 1\n"
    Path(f"/tmp/eurolm-{tmp_path.name}").rmdir()  # noqa: S108 - the node's directory of this job


def test_missing_account_and_image_are_named() -> None:
    with pytest.raises(ConfigError, match=r"cluster\.account is not set: LUMI-G"):
        render(TRAIN, order(account=None))
    with pytest.raises(ConfigError, match=r"cluster\.container is not set"):
        render(TRAIN, order("marenostrum5", container=None))


def test_container_sees_what_the_config_names(tmp_path: Path) -> None:
    given = order()
    corpus = {"sources": [{"name": "a", "paths": [str(tmp_path / "text" / "*.jsonl")], "language": "lv"}]}
    (tmp_path / "text").mkdir()
    config = given.config.model_validate({**given.config.model_dump(by_alias=True), "corpus": corpus})
    bound = bound_directories(type(given)(config, given.profile, given.config_file, (), given.workdir))
    assert bound == sorted(["/scratch/project_465000000/anna", str(tmp_path / "text")])


def test_container_sees_what_a_link_leads_to(tmp_path: Path) -> None:
    for name in ("flash", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "scratch" / "text").symlink_to(tmp_path / "flash")
    given = order(workdir=tmp_path / "scratch", config_file=tmp_path / "scratch" / "c.yaml")
    corpus = {"sources": [{"name": "a", "paths": ["text/*.jsonl"], "language": "lv"}]}
    config = given.config.model_validate({**given.config.model_dump(by_alias=True), "corpus": corpus})
    bound = bound_directories(type(given)(config, given.profile, given.config_file, (), given.workdir))
    assert bound == [str(tmp_path / "flash"), str(tmp_path / "scratch")]


def test_every_kind_has_its_own_name() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
