"""`eurolm plan`: refusals with rule and source, figures that add up, rehearsals read back, the audit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eurolm.artifacts.ledger import record
from eurolm.cluster import cost
from eurolm.cluster.launch import prepare
from eurolm.cluster.plan_record import (
    Measured,
    Plan,
    Range,
    Rehearsal,
    RehearsalRun,
    audit,
    layout_key,
    read_plan,
    write_plan,
    write_rehearsal,
)
from eurolm.cluster.plan_text import failures, plan_lines
from eurolm.cluster.planning import CONTRACT, plan_run
from eurolm.cluster.profile import load_profile
from eurolm.cluster.throughput import Speed
from eurolm.errors import ConfigError, InputError

BASE = """
name: base
run: {workspace: WORKSPACE}
mixture:
  phases:
    - {tokens: 20_000_000_000, row_tokens: 2048, batch_rows: 1024}
    - {tokens: 2_000_000_000, row_tokens: 8192, batch_rows: 256}
tokenizer: {vocab_size: 65_000}
model: {hidden_size: 2048, layers: 24, attention_heads: 16, key_value_heads: 8, intermediate_size: 5632,
        max_position_tokens: 8192, tie_embeddings: false}
cluster: {name: lumi-g, account: project_465000000, nodes: 8}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "base.yaml"
    path.write_text(BASE.replace("WORKSPACE", str(tmp_path)))
    return path


def planned(config: Path, *overrides: str, cluster: str | None = None, nodes: int | None = None) -> Plan:
    return plan_run(config, overrides, cluster, nodes)


@pytest.mark.parametrize(
    ("cluster", "overrides", "message"),
    [
        ("lumi-g", ["cluster.time_limit_hours=49"], r"time_limit_hours = 49: .*standard-g.*48 hours.*partitions\.md"),
        ("lumi-g", ["cluster.nodes=1025"], r"nodes = 1,025: .*at most 1,024 nodes.*partitions\.md.*partition=bench"),
        ("lumi-g", ["cluster.partition=small-g"], r"nodes = 8: .*small-g.*at most 4 nodes.*or cluster\.partition="),
        ("lumi-g", ["train.threads_per_rank=8"], r"are 64 cores; .*may have 56 of a node's 64.*never\s+start"),
        (
            "lumi-g",
            ["train.ranks=72"],
            r"train\.ranks = 72 on cluster\.nodes = 8 are 9 devices per node.*has 8 .*lumig\.md",
        ),
        ("lumi-g", ["cluster.training_jobs=200", "cluster.partition=dev-g"], r"a user may have 2 jobs on dev-g"),
        (
            "lumi-g",
            ["cluster.partition=standard"],
            r"partition = standard: it has no AMD .*LUMI-C.*=standard-g",
        ),
        ("lumi-g", ["cluster.partition=gpu"], r"cluster\.partition = 'gpu': lumi-g has none\. Known: standard-g"),
        ("lumi-g", ["mixture.phases.0.batch_rows=1000"], r"batch_rows = 1000 is not a multiple of train\.ranks 64"),
        ("lumi-g", ["cluster.time_limit_hours=0.1"], r"ends before it has trained: it needs 600 s to start"),
        (
            "lumi-g",
            ["mixture.phases.0.batch_rows=576", "cluster.nodes=192", "mixture.phases.1.batch_rows=576"],
            r"is not a multiple of train\.ranks 1536.*so on cluster\.nodes = 72 \(576 ranks\)",
        ),
        (
            "lumi-g",
            ["cluster.corpus_nodes=600"],
            r"corpus_nodes = 600: .*standard of.*at most 512 nodes.*partitions\.md",
        ),
        ("leonardo", ["cluster.corpus_nodes=2"], r"corpus_nodes = 2: .*lrd_all_serial.*at most 1 nodes.*CINECA"),
        ("leonardo", ["cluster.nodes=257"], r"boost_qos_bprod.*at most 256 nodes.*CINECA"),
        ("leonardo", ["cluster.time_limit_hours=25"], r"boost_usr_prod.*24 hours.*CINECA"),
        ("leonardo", ["cluster.qos=boost_qos_dbg", "cluster.nodes=4"], r"boost_qos_dbg.*at most 2 nodes"),
        ("leonardo", ["cluster.qos=boost_qos_bprod", "cluster.nodes=8"], r"at least 65 nodes"),
        ("marenostrum5", ["cluster.nodes=128"], r"acc.*acc_ehpc.*at most 100 nodes"),
        (
            "marenostrum5",
            ["cluster.qos=acc_interactive", "cluster.nodes=1"],
            r"80 cores: .*acc_interactive.*at most 40",
        ),
        ("marenostrum5", ["train.threads_per_rank=10"], r"exactly 20 cores per device"),
    ],
)
def test_what_the_site_would_refuse_is_refused_with_rule_and_source(
    config: Path, cluster: str, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        planned(config, *overrides, cluster=cluster)


def test_a_model_that_fits_in_no_layout_is_refused(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"no layout fits.*Take more nodes"):
        planned(config, "model.hidden_size=16384", "model.layers=120", "model.intermediate_size=53248")


def test_every_layout_is_told_with_its_memory(config: Path) -> None:
    """Per ZeRO stage and kind of recomputation what a plan with that layout says, or refuses as too large."""
    large = ["model.hidden_size=4096", "model.layers=48", "model.attention_heads=32", "model.intermediate_size=14336"]
    plan = planned(config, *large)
    assert len(plan.layouts) == 9 and len({row.layout for row in plan.layouts}) == 9
    (chosen,) = [row for row in plan.layouts if row.layout == layout_key(plan.layout)]
    assert chosen.fits and chosen.slower == 0 and chosen.memory == plan.memory
    assert {row.fits for row in plan.layouts} == {True, False}
    for row in plan.layouts:
        assert 0 < row.memory.logits < row.memory.activations < row.memory.total
        stage, checkpointing = re.findall(r"zero(\d)(?:-hpz\d+)?-(\w+)-", row.layout)[0]
        fixed = [f"train.zero_stage={stage}", f"train.activation_checkpointing={checkpointing}"]
        if row.fits:
            assert row.slower is not None and row.slower >= 0 and planned(config, *large, *fixed).memory == row.memory
        else:
            with pytest.raises(ConfigError, match=f"needs {row.memory.total / 1e9:.1f} GB"):
                planned(config, *large, *fixed)
    text = "\n".join(plan_lines(plan))
    assert all(row.layout.replace("-flash_attention_2", "") in text for row in plan.layouts)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_screen_is_as_wide_as_the_terminal(config: Path, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = list(plan_lines(planned(config)))
    assert all(len(line) <= columns for line in lines if str(config.parent) not in line)
    assert any(line.startswith("cost ") for line in lines) and "  nodes" in "\n".join(lines)


def test_a_micro_batch_that_does_not_fit_is_named_as_such(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"with 16 rows per forward pass.*fewer micro_batch_rows, shorter rows"):
        planned(config, "train.micro_batch_rows=16", "train.activation_checkpointing=none",
                "mixture.phases=[{tokens: 9_000_000_000, row_tokens: 8192, batch_rows: 1024}]")  # fmt: skip


def test_the_figures_add_up(config: Path) -> None:
    plan = planned(config)
    assert plan.steps == 20_000_000_000 // (2048 * 1024) + 1 + 2_000_000_000 // (8192 * 256) + 1
    assert plan.ranks == 64
    assert plan.memory.device is not None
    assert plan.memory.total <= plan.memory.device
    assert plan.hours is not None
    assert plan.units is not None
    assert plan.tokens_per_s_per_device is not None
    # GPU-hours of modules: four per node and hour, not eight.
    assert plan.units.middle == pytest.approx(4 * 8 * plan.hours.middle)
    busy = plan.tokens / 64 / plan.tokens_per_s_per_device.middle / 3600
    assert plan.hours.middle == pytest.approx(busy + plan.jobs * plan.start_s / 3600, rel=0.01)
    assert plan.tokens_per_s_per_device.low < plan.tokens_per_s_per_device.middle < plan.tokens_per_s_per_device.high
    assert plan.energy_kwh is not None
    assert plan.energy_kwh.low == pytest.approx(plan.hours.low * 8 * 1.24 * 1.04)
    assert plan.market_kg == Range(0, 0, 0)
    assert plan.location_kg is not None
    assert plan.location_kg.high == pytest.approx(plan.energy_kwh.high * 0.079)
    assert plan.checkpoint_bytes == 12 * plan.parameters
    assert [row.nodes for row in plan.scaling] == [1, 2, 4, 8, 16, 32]
    assert "64 nodes have 512 ranks: more than the 256 rows of a batch" in plan.notes
    assert read_plan(config.parent / "runs" / "base") == plan


def test_what_a_storage_area_cannot_hold_is_not_submitted(config: Path) -> None:
    assert failures(planned(config)) == []
    # A checkpoint every 100 M tokens, each with a file per rank.
    kept = ["train.permanent_every_tokens=100_000_000", "train.keep_checkpoints=2"]
    small = config.parent / "small.yaml"
    scratch = "storage: {scratch: {quota_bytes: 1_000_000_000_000}}"
    small.write_text(f"extends: [clusters/lumi-g.yaml]\nname: small\n{scratch}\n")
    plan = planned(config, *kept, cluster="small.yaml")
    held = plan.tokens // 100_000_000 + 2 + 1
    assert plan.storage[0].need_bytes == held * 12 * plan.parameters + 2 * plan.tokens
    assert held * plan.ranks < plan.storage[0].need_files < held * (plan.ranks + 30) + 3000
    (full,) = failures(plan)
    assert re.search(r"scratch: 3\.\d+ TB and [0-9,]+ files, the quota is 1 TB, 2,000,000 files\. Ask for more", full)
    small.write_text(small.read_text().replace("quota_bytes: 1_000_000_000_000", "quota_files: 10_000"))
    (many,) = failures(planned(config, *kept, cluster="small.yaml"))
    assert "the quota is 50 TB, 10,000 files" in many


def test_a_checkpoint_that_does_not_fit_into_memory_is_a_note_and_no_refusal(config: Path) -> None:
    """It is staged in /dev/shm where it fits, else written to the workspace: /tmp has no part in it."""
    large = ["model.hidden_size=6144", "model.layers=60", "model.attention_heads=48", "model.intermediate_size=21504"]
    plan = planned(config, *large, cluster="leonardo", nodes=16)
    assert failures(plan) == [] and not any("half of its memory" in note for note in plan.notes)
    few = planned(config, *large, "model.layers=66", cluster="lumi-g", nodes=2)
    assert failures(few) == [] and any("saves go straight to the workspace" in note for note in few.notes)


def test_tildeopen_costs_its_published_module_hours() -> None:
    """450,000 steps of 17 s on 192 nodes are 1.63 M GPU-hours: LUMI bills modules, four per node."""
    rate = 4_718_592 / 17 / 1536
    speed = Speed(rate, rate, rate, "given")
    spent = cost.duration(450_000 * 4_718_592, 1536, speed, save_s=0, save_every_minutes=120, start_s=0, job_hours=None)
    billed = cost.units(spent.hours, 192, load_profile("lumi-g").billing)
    assert billed.middle == pytest.approx(1.63e6, rel=0.005)
    # With the starts of two-day jobs and a save every two hours.
    spent = cost.duration(
        450_000 * 4_718_592, 1536, speed, save_s=20, save_every_minutes=120, start_s=600, job_hours=48
    )
    assert spent.jobs == 45
    assert cost.units(spent.hours, 192, load_profile("lumi-g").billing).middle == pytest.approx(1.64e6, rel=0.01)


def rehearsal_of(plan: Plan, rate: float, nodes: int) -> Rehearsal:
    run = RehearsalRun(nodes, 8 * nodes, 30, rate, 1.5, 41_000_000_000)
    return Rehearsal(
        1, plan.run, plan.cluster, "2026-11-28T12:00:00+00:00", layout_key(plan.layout), (run,), 9.0, 40.0, 80.0
    )


def test_a_rehearsal_replaces_the_table(config: Path) -> None:
    plan = planned(config)
    run_dir = config.parent / "runs" / "base"
    write_rehearsal(run_dir, rehearsal_of(plan, 5000.0, 8))
    same = planned(config)
    assert same.measured
    assert same.tokens_per_s_per_device == Range(5000, 5000, 5000)
    assert (same.save_s, same.start_s) == (9.0, 120.0)
    assert "measured on 8 nodes" in same.basis
    carried = planned(config, nodes=16)
    assert carried.tokens_per_s_per_device is not None
    assert "measured on 8 nodes, carried to 16" in carried.basis
    assert carried.tokens_per_s_per_device.middle <= carried.tokens_per_s_per_device.high == 5000
    other = planned(config, "train.activation_checkpointing=full")
    assert not other.measured, "another layout is another speed"
    (run_dir / "rehearsal.json").write_text("{}")
    with pytest.raises(InputError, match=r"rehearsal\.json is damaged"):
        planned(config)


def test_the_audit_alarms_above_fifteen_percent(config: Path) -> None:
    plan = replace(planned(config), tokens_per_s_per_device=Range(800, 1000, 1200), save_s=10.0)
    assert audit(plan, Measured()) == []
    found = audit(plan, Measured(tokens_per_s_per_device=860, save_s=11, peak_memory_bytes=plan.memory.total))
    assert [item.alarm for item in found] == [False, False, False]
    found = audit(plan, Measured(tokens_per_s_per_device=840, save_s=9))
    assert (found[0].what, found[0].alarm, found[0].within_range) == ("tokens/s per device", True, True)
    assert "-16%" in found[0].text
    assert not audit(plan, Measured(tokens_per_s_per_device=1500))[0].alarm, "faster is no alarm"
    assert plan.units is not None
    assert audit(plan, Measured(units_expected=1.2 * plan.units.middle))[0].alarm


def test_a_plan_written_is_a_plan_read(config: Path, tmp_path: Path) -> None:
    plan = planned(config)
    write_plan(tmp_path / "elsewhere", plan)
    assert read_plan(tmp_path / "elsewhere") == plan
    assert read_plan(tmp_path / "nowhere") is None


def test_looking_at_another_plan_does_not_change_the_contract_of_a_launched_run(config: Path) -> None:
    run_dir = config.parent / "runs" / "base"
    run_dir.mkdir(parents=True)
    record(run_dir, "launch", config=str(config), overrides=[], cluster="lumi-g", user="anna")
    # A rehearsal is no training: the plan that uses it is stored.
    record(run_dir, "job", name="rehearse", kind="rehearse", job="7")
    agreed = planned(config)
    record(run_dir, "job", name="train-1", kind="train", job="8")
    other = planned(config, nodes=4)
    assert other.nodes == 4 and CONTRACT in other.notes
    assert read_plan(run_dir) == agreed
    again = plan_run(config, ("cluster.nodes=4",), None, None, launching=True)
    assert read_plan(run_dir) == again and CONTRACT not in again.notes
    record(run_dir, "cancelled", user="anna")
    assert read_plan(run_dir) != planned(config) == read_plan(run_dir)


def test_the_login_node_needs_neither_torch_nor_five_seconds(config: Path) -> None:
    code = (
        "import sys, json\nfrom eurolm.cli.main import main\n"
        f"try:\n    main(['plan', {str(config)!r}, '--json'])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'numpy', 'transformers', 'deepspeed', 'pyarrow', 'tokenizers'} & set(sys.modules)\n"
        "print(json.dumps(sorted(heavy)))"
    )
    before = os.times()
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    # Its own time: what the machine does besides would be in the clock's.
    assert after.children_user + after.children_system - before.children_user - before.children_system <= 5
    lines = answer.stdout.splitlines()
    assert json.loads(lines[-1]) == []
    value: dict[str, Any] = json.loads(lines[0])
    assert value["layout"]["zero_stage"] in (1, 2, 3)
    assert 0 < value["memory"]["weights"] < value["memory"]["total"] <= value["memory"]["device"]
    assert [need["fits"] for need in value["storage"]] == [True] and value["failures"] == []


def test_a_chain_longer_than_the_queue_is_noted(config: Path) -> None:
    plan = planned(config, "cluster.time_limit_hours=0.25", "cluster.nodes=1")
    assert plan.jobs > 210
    assert any("a user may have 210 on standard-g" in note for note in plan.notes)
    prepared = prepare(config, ("cluster.time_limit_hours=0.25", "cluster.nodes=1"), plan, config.parent)
    training = [job for job in prepared.jobs if job.kind.name == "train"]
    assert len(training) == 210, "Slurm refuses the 211th, and with it the launch"


def test_the_table_stays_in_the_partition_that_the_config_names(config: Path) -> None:
    plan = planned(config, "cluster.partition=small-g", "cluster.nodes=2")
    assert [row.nodes for row in plan.scaling] == [1, 2, 4]


def test_a_model_to_continue_is_counted_from_its_config_and_tokenizer(config: Path, tmp_path: Path) -> None:
    model, tokenizer = tmp_path / "model", tmp_path / "tok"
    model.mkdir()
    tokenizer.mkdir()
    sizes = {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32}
    value = {"model_type": "llama", "vocab_size": 32_000, "num_key_value_heads": 4, **sizes}
    (model / "config.json").write_text(json.dumps(value))
    (tokenizer / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 31_999}}, "added_tokens": []}))
    plan = planned(config, f"model.use={model}", f"tokenizer.use={tokenizer}")
    assert plan.parameters == 1_100_048_384, "TinyLlama's published size"
    (tokenizer / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 39_999}}, "added_tokens": []}))
    longer = planned(config, f"model.use={model}", f"tokenizer.use={tokenizer}")
    assert longer.parameters - plan.parameters == 2 * 2048 * (40_064 - 32_000)


def test_this_machine_has_no_queue_and_no_speed(config: Path) -> None:
    plan = planned(config, "train.ranks=2", cluster="local")
    assert (plan.ranks, plan.hours, plan.units, plan.scaling) == (2, None, None, ())
    assert "not known" in plan.basis
