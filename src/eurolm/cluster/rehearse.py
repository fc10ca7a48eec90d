"""`eurolm launch --rehearse`: thirty steps at one, two and four nodes in one job on the debug partition.

Each node count is a run of its own on the shards of the real one, with as many rows per rank as the real training has,
so that a step takes what its steps will take. What is measured goes into `runs/<name>/rehearsal.json`, from which the
next plan takes its speed.
"""

from __future__ import annotations

import json
import shutil
import statistics
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eurolm.cluster.chain import PlannedJob, chain
from eurolm.cluster.jobs import CORPUS, ENCODE, JobKind, queue_of
from eurolm.cluster.launch import Prepared, order_of
from eurolm.cluster.plan_record import SCHEMA, Plan, Rehearsal, RehearsalRun, layout_key, read_plan, write_rehearsal
from eurolm.cluster.profile import ClusterProfile
from eurolm.cluster.render import Order, render, render_all
from eurolm.config.model import Config
from eurolm.errors import InputError, MachineError

REHEARSE = JobKind(
    "rehearse", "Rehearsal: speed and save time at several node counts", "rehearse.sbatch.j2", "debug", "training", 1
)
NODE_COUNTS = (1, 2, 4)
STEPS, WARM_UP_STEPS = 30, 5
START_FILE = "start_s"


def prepare_rehearsal(config_file: Path, overrides: tuple[str, ...], plan: Plan, workdir: Path) -> Prepared:
    """The rehearsal's job, after those that make its shards where they are missing."""
    real = order_of(config_file, overrides, plan, workdir)
    queue = queue_of(REHEARSE, real.config, real.profile)
    counts = [nodes for nodes in NODE_COUNTS if nodes <= queue.max_nodes]
    order = replace(real, config=_on_nodes(real.config, counts[-1]))
    runs = [(nodes, list(run_overrides(real, nodes))) for nodes in counts]
    scripts = render_all(order, (CORPUS, ENCODE))
    scripts[f"{REHEARSE.name}.sbatch"] = render(REHEARSE, order, rehearsals=runs)
    needed = () if (order.run_dir / "tokens").exists() else (CORPUS, ENCODE)
    jobs: list[PlannedJob] = chain((*needed, REHEARSE), training_jobs=0)
    return Prepared(order, jobs, scripts)


def run_overrides(order: Order, nodes: int) -> tuple[str, ...]:
    """What makes a short run of its own of the longest phase: the same rows per rank on `nodes` nodes."""
    phases = order.config.mixture.phases
    phase = max(phases, key=lambda phase: phase.tokens)
    rows = max(1, phase.batch_rows * nodes // order.config.cluster.nodes)
    ranks = nodes * order.ranks_per_node
    rows = max(ranks, rows // ranks * ranks)
    short = phase.model_dump(mode="json") | {"batch_rows": rows, "tokens": STEPS * rows * phase.row_tokens}
    return (
        f"name={rehearsal_name(order.config.name, nodes)}",
        f"train.ranks={ranks}",
        f"mixture.phases={json.dumps([short])}",
        # Only the last step saves, and nothing else is timed with the steps.
        "train.save_every_minutes=100000",
        "train.validate_every_steps=1000000",
        "train.validate_max_bytes=1",
        "train.prompts=[]",
    )


def rehearsal_name(name: str, nodes: int) -> str:
    """Name of the run that rehearses on `nodes` nodes; a name has at most 80 characters."""
    return f"{name[:60]}-rehearsal-{nodes}"


def record_rehearsal(run_dir: Path, profile: ClusterProfile) -> Rehearsal:
    """Read what the rehearsal's runs left, write `rehearsal.json`, remove them. Raises InputError where none ended."""
    plan = read_plan(run_dir)
    if plan is None:
        raise InputError(f"{run_dir} has no plan.json: `eurolm launch CONFIG --rehearse` writes it.")
    found: dict[Path, tuple[RehearsalRun, dict[str, float | None]]] = {}
    for nodes in NODE_COUNTS:
        place = run_dir.parent / rehearsal_name(run_dir.name, nodes)
        # The start's length is written when the run has ended well.
        if (place / START_FILE).is_file():
            found[place] = measure(place, nodes, nodes * profile.devices.per_node)
    if not found:
        raise MachineError(f"no run of the rehearsal ended well: eurolm doctor {run_dir.name}.")
    times = [times for _, times in found.values()]
    rehearsal = Rehearsal(
        schema=SCHEMA,
        run=run_dir.name,
        cluster=profile.name,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        layout=layout_key(plan.layout),
        runs=tuple(run for run, _ in found.values()),
        save_s=_largest([each["save_s"] for each in times]),
        load_s=None,
        start_s=_largest([each["start_s"] for each in times]),
    )
    write_rehearsal(run_dir, rehearsal)
    for place in found:
        shutil.rmtree(place)
    return rehearsal


def measure(place: Path, nodes: int, ranks: int) -> tuple[RehearsalRun, dict[str, float | None]]:
    """Speed of a finished rehearsal run, median of its steps after the first few; its times of save and start."""
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    steps: list[dict[str, Any]] = [line for line in lines if line["event"] == "step"]
    timed = steps[WARM_UP_STEPS:] or steps
    peaks = [line["peak_memory_bytes"] for line in steps if line.get("peak_memory_bytes")]
    run = RehearsalRun(
        nodes=nodes,
        ranks=ranks,
        steps=len(timed),
        tokens_per_s_per_device=statistics.median(line["tokens_per_s"] for line in timed) / ranks,
        step_s=statistics.median(line["step_s"] for line in timed),
        peak_memory_bytes=max(peaks, default=None),
    )
    saves = [line["blocked_s"] for line in lines if line["event"] == "checkpoint"]
    return run, {"save_s": max(saves, default=None), "start_s": float((place / START_FILE).read_text())}


def shown(rehearsal: Rehearsal) -> list[str]:
    """The figures for people."""
    lines = [f"{'nodes':>5} {'ranks':>6} {'tokens/s per device':>20} {'step':>10}"]
    lines += [
        f"{run.nodes:>5} {run.ranks:>6} {run.tokens_per_s_per_device:>20,.0f} {run.step_s:>8.3f} s"
        for run in rehearsal.runs
    ]
    times = {"save": rehearsal.save_s, "start": rehearsal.start_s}
    return [*lines, *(f"{what} {seconds:.1f} s" for what, seconds in times.items() if seconds is not None)]


def _on_nodes(config: Config, nodes: int) -> Config:
    return config.model_copy(update={"cluster": config.cluster.model_copy(update={"nodes": nodes})})


def _largest(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
