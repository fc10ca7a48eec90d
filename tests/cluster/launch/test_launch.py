"""`eurolm launch` where there is no Slurm: what it writes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from eurolm.cluster.launch import check_files, prepare
from eurolm.cluster.planning import plan_run
from eurolm.cluster.rehearse import prepare_rehearsal, rehearsal_name
from eurolm.errors import ConfigError

CONFIG = """
name: baltic
cluster: {name: lumi-g, account: project_465000000, nodes: 8, training_jobs: 2}
tokenizer: {vocab_size: 32000}
mixture: {phases: [{tokens: 1_000_000, row_tokens: 512, batch_rows: 512, max_epochs: 9},
                   {tokens: 90_000_000, row_tokens: 1024, batch_rows: 128, max_epochs: 9}]}
model: {hidden_size: 256, layers: 4, attention_heads: 4, key_value_heads: 2, intermediate_size: 512,
        max_position_tokens: 1024}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "baltic.yaml"
    path.write_text(CONFIG)
    return path


def test_a_dry_run_writes_the_scripts_and_needs_no_slurm(config: Path) -> None:
    command = [sys.executable, "-m", "eurolm", "launch", str(config), "--dry-run"]
    answer = subprocess.run(command, cwd=config.parent, capture_output=True, text=True, check=False, env={"PATH": ""})
    assert answer.returncode == 0, answer.stderr
    told = subprocess.run([*command, "--json"], cwd=config.parent, capture_output=True, text=True, check=True)
    assert "train.sbatch" in json.loads(told.stdout)["scripts"]
    written = {path.name for path in (config.parent / "runs" / "baltic" / "slurm").iterdir()}
    scripts = {f"{name}.sbatch" for name in ("corpus", "encode", "train", "evaluate", "report", "preflight")}
    assert written == scripts | {"environment.sh", "rank.sh"}
    assert "train-2" in answer.stderr and "encode, train-1 (any end)" in answer.stderr
    assert (config.parent / "runs" / "baltic" / "plan.json").is_file()


def test_jobs_get_the_layout_of_the_plan(config: Path) -> None:
    large = ("cluster.nodes=2", "model.hidden_size=8192", "model.layers=40", "model.attention_heads=64")
    plan = plan_run(config, large, None, None)
    prepared = prepare(config, large, plan, config.parent)
    assert plan.layout.overrides and set(plan.layout.overrides) <= set(prepared.order.overrides)
    assert [job.name for job in prepared.jobs][2:4] == ["train-1", "train-2"]


def test_a_machine_without_slurm_is_refused_with_what_to_do(config: Path) -> None:
    plan = plan_run(config, (), None, None)
    with pytest.raises(ConfigError, match=r"this machine has no Slurm.*eurolm run"):
        prepare(config, ("cluster.name=local",), plan, config.parent)


def test_what_no_job_could_start_without_is_missed_before_a_job_waits(config: Path, tmp_path: Path) -> None:
    def check(*overrides: str) -> None:
        check_files(prepare(config, overrides, plan_run(config, overrides, None, None), config.parent).order)

    assert any("has no eurolm: set cluster.user_software" in note for note in plan_run(config, (), None, None).notes)
    with pytest.raises(ConfigError, match=r"the image of LUMI-G .* has no eurolm: scripts/container-extension"):
        check()
    (tmp_path / "old.sif").touch()
    with pytest.raises(ConfigError, match=r"new\.sif: it is not there.*Beside it: old\.sif\. Set cluster\.container"):
        check(f"cluster.container={tmp_path / 'new.sif'}")
    with pytest.raises(ConfigError, match=r"cluster\.user_software = x\.sqsh: it is not there"):
        check(f"cluster.container={tmp_path / 'old.sif'}", "cluster.user_software=x.sqsh")
    (tmp_path / "x.sqsh").touch()
    check(f"cluster.container={tmp_path / 'old.sif'}", "cluster.user_software=x.sqsh")
    # A bare machine.
    bare = tmp_path / "bare.yaml"
    bare.write_text("extends: [clusters/lumi-g.yaml]\nname: bare\ncontainer: null\nunknown: {container: none here}\n")
    check("cluster.name=bare.yaml")
    with pytest.raises(ConfigError, match=r"cluster\.environment = .*/venv/bin/python: it is not there"):
        check("cluster.name=bare.yaml", f"cluster.environment={tmp_path / 'venv'}")


def test_a_rehearsal_keeps_the_rows_of_a_rank_and_stays_on_the_debug_partition(config: Path) -> None:
    plan = plan_run(config, (), None, None)
    prepared = prepare_rehearsal(config, (), plan, config.parent)
    script = prepared.scripts["rehearse.sbatch"]
    assert "#SBATCH --partition=dev-g" in script and "#SBATCH --nodes=4" in script
    # 128 rows on 8 nodes are 16 on one; the longest phase is the one that is measured.
    for nodes, rows in ((1, 16), (2, 32), (4, 64)):
        assert f"rehearse {nodes} name={rehearsal_name('baltic', nodes)}" in script
        assert f'"row_tokens": 1024, "batch_rows": {rows},' in script
    assert [job.name for job in prepared.jobs] == ["corpus", "encode", "rehearse"]
    (prepared.order.run_dir / "tokens").mkdir()
    assert [job.name for job in prepare_rehearsal(config, (), plan, config.parent).jobs] == ["rehearse"]
