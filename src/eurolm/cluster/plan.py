"""`eurolm plan`: what a run will take on a machine, before a job is submitted. No torch, no GPU, a second or two.

What the machine would refuse is refused here, with the rule and its source; everything else becomes the record that
`eurolm status` holds the run to.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from eurolm.cluster import cost, storage
from eurolm.cluster.checks import data_checks, tokens_of, vocabulary
from eurolm.cluster.layout import Attention, Placed, Request, choose_layout
from eurolm.cluster.limits import check_limits, node_counts, training_queue
from eurolm.cluster.plan_record import SCHEMA, Plan, Range, Rehearsal, RehearsalRun, ScalingRow, layout_key, measured_at
from eurolm.cluster.profile import ClusterProfile
from eurolm.cluster.render import no_eurolm
from eurolm.cluster.step_time import Machine
from eurolm.cluster.throughput import Speed, Table, Workload, load_table, predict, utilisation
from eurolm.config.load import LoadedConfig
from eurolm.config.model import Config
from eurolm.config.tokens import PhaseConfig
from eurolm.errors import ConfigError
from eurolm.model.size import Shape, check_shape, count, shape_of
from eurolm.train.batching import check_batches

CHOSEN = ("zero_stage", "activation_checkpointing", "micro_batch_rows", "hpz_ranks")
"""Fields of `train` that the plan chooses where the config does not name them."""


def make_plan(
    loaded: LoadedConfig, profile: ClusterProfile, run_dir: Path, *, nodes: int | None = None,
    rehearsal: Rehearsal | None = None, table: Table | None = None,
) -> Plan:  # fmt: skip
    """The plan of a config on a machine. Raises ConfigError for what the machine or the model cannot do."""
    config = loaded.config
    nodes = nodes or config.cluster.nodes
    check_limits(config, profile, nodes, "train.ranks" in loaded.origins)
    if config.model.use is None:
        check_shape(config.model)
    if not config.mixture.phases:
        raise ConfigError("mixture.phases is empty: add at least one phase with tokens, row_tokens and batch_rows.")
    entries, vocabulary_from = vocabulary(config, run_dir)
    shape = shape_of(config.model, entries)
    maker = _Maker(loaded, profile, shape, table or load_table(), rehearsal, run_dir, entries)
    plan = maker.plan(nodes)
    notes = (*plan.notes, f"vocabulary of {entries:,} entries from {vocabulary_from}")
    scaling = maker.scaling(nodes)
    missing = f"the image of {profile.name} has no eurolm: set cluster.user_software before launching (docs/lumi.md)"
    told = (missing,) if no_eurolm(config, profile) else ()
    return replace(plan, scaling=scaling, notes=(*maker.ends(scaling), *told, *notes))


class _Maker:
    """A config, a machine and a model; a plan for any number of nodes."""

    def __init__(
        self, loaded: LoadedConfig, profile: ClusterProfile, shape: Shape, table: Table, rehearsal: Rehearsal | None,
        run_dir: Path, vocab_size: int,
    ) -> None:  # fmt: skip
        self.loaded, self.profile, self.shape, self.table = loaded, profile, shape, table
        self.rehearsal, self.run_dir, self.vocab_size = rehearsal, run_dir, vocab_size
        self.config: Config = loaded.config
        self.phases: list[PhaseConfig] = self.config.mixture.phases
        self.fixed = frozenset(name for name in CHOSEN if f"train.{name}" in loaded.origins)

    def ranks(self, nodes: int) -> int:
        """One rank per device; without Slurm what the config says."""
        return nodes * self.profile.devices.per_node if self.profile.slurm.present else self.config.train.ranks

    def place(self, nodes: int) -> Placed:
        """The layout on so many nodes. Raises ConfigError where the batch does not divide or nothing fits."""
        ranks, devices = self.ranks(nodes), self.profile.devices
        free = {} if "micro_batch_rows" in self.fixed else {"micro_batch_rows": None}
        try:
            check_batches(self.config.mixture, self.config.train.model_copy(update={"ranks": ranks, **free}))
        except ConfigError as error:
            raise ConfigError(f"{error}{self.dividing(nodes)}") from None
        return choose_layout(
            Request(
                shape=self.shape, phases=tuple(self.phases), train=self.config.train, ranks=ranks,
                ranks_per_node=min(ranks, devices.per_node), device_bytes=devices.memory_bytes,
                device_source=devices.source_of("memory_bytes"), attention=self.attention(), fixed=self.fixed,
                machine=self.machine(nodes),
            )
        )  # fmt: skip

    def dividing(self, nodes: int) -> str:
        """The nearest numbers of nodes over whose ranks every batch divides, as an alternative for the user."""
        if not self.profile.slurm.present:
            return ""
        micro = self.config.train.micro_batch_rows or 1 if "micro_batch_rows" in self.fixed else 1
        units = [(phase.batch_rows, phase.micro_batch_rows or micro) for phase in self.phases]
        fitting = [n for n in node_counts(self.config, self.profile) if all(
            rows % (self.ranks(n) * size) == 0 for rows, size in units)]  # fmt: skip
        below, above = [n for n in fitting if n < nodes][-1:], [n for n in fitting if n > nodes][:1]
        if not below and not above:
            return " Every rank takes whole rows of every batch."
        found = " or ".join(f"{n} ({self.ranks(n):,} ranks)" for n in (*below, *above))
        return f" Every rank takes whole rows of every batch; with these batches that is so on cluster.nodes = {found}."

    def machine(self, nodes: int) -> Machine | None:
        """What layouts are compared on."""
        network = self.profile.network
        if self.profile.devices.peak is None:
            return None
        node, link = network.gbit_per_node, network.gb_per_s_between_devices
        return Machine(
            peak_flops=self.profile.devices.peak, nodes=nodes, node_bytes_per_s=node * 1e9 / 8 if node else None,
            link_bytes_per_s=link * 1e9 / 2 if link else None,
        )  # fmt: skip

    def attention(self) -> Attention:
        """The kernel that `train.attention: auto` will find; SDPA where FlashAttention-2 is not known to be there."""
        if self.config.train.attention != "auto":
            return self.config.train.attention
        container = self.profile.container
        flash = container is not None and "flash-attn" in container.packages
        return "flash_attention_2" if flash else "sdpa"

    def speed(self, nodes: int, placed: Placed) -> tuple[Speed | None, RehearsalRun | None]:
        """Tokens per second and device: measured where a rehearsal ran this layout, else predicted from the table."""
        run = measured_at(self.rehearsal, placed.layout, nodes)
        if run is not None and run.nodes == nodes:
            rate = run.tokens_per_s_per_device
            return Speed(rate, rate, rate, f"measured on {run.nodes} nodes", measured=True), run
        if self.profile.devices.peak is None:
            return None, None
        rate = 1 / sum(
            share / predict(self.table, self.work(nodes, placed, phase)).middle for phase, share in self.mix()
        )
        first = predict(self.table, self.work(nodes, placed, self.phases[0]))
        # At the low end no communication hides behind arithmetic; the entries' own is in their speed.
        overlapped = placed.time.arithmetic / placed.time.total if placed.time else 1.0
        low = rate * first.low / first.middle * overlapped
        speed = Speed(low, rate, rate * first.high / first.middle, first.basis, first.runs)
        if run is None:
            return speed, None
        # Measured on fewer nodes: the table only says how speed per device falls as nodes are added.
        fewer = predict(self.table, self.work(run.nodes, placed, self.phases[0]))
        middle = run.tokens_per_s_per_device * first.middle / fewer.middle
        low = middle * min(1.0, (first.low / first.middle) / (fewer.low / fewer.middle))
        basis = f"measured on {run.nodes} nodes, carried to {nodes} by published scaling"
        return Speed(low, middle, run.tokens_per_s_per_device, basis, first.runs, measured=True), run

    def mix(self) -> list[tuple[PhaseConfig, float]]:
        """Phases with their share of all tokens."""
        tokens = [phase.samples * phase.row_tokens for phase in self.phases]
        return [(phase, part / sum(tokens)) for phase, part in zip(self.phases, tokens, strict=True)]

    def work(self, nodes: int, placed: Placed, phase: PhaseConfig) -> Workload:
        """A phase as the throughput model sees it."""
        return Workload(
            shape=self.shape, row_tokens=phase.row_tokens, devices=self.ranks(nodes), nodes=nodes,
            checkpointing=placed.layout.checkpointing, peak_flops=self.profile.devices.peak or 0.0,
            comparable=tuple(self.profile.devices.comparable),
        )  # fmt: skip

    def job_hours(self, nodes: int) -> float | None:
        """Time limit of a training job; null without Slurm."""
        found = training_queue(self.config, self.profile, nodes)
        return None if found is None else self.config.cluster.time_limit_hours or found[1].max_hours

    def tokens(self) -> int:
        """Rows × row length of all phases."""
        return sum(phase.samples * phase.row_tokens for phase in self.phases)

    def times(self, nodes: int, speed: Speed) -> tuple[cost.Duration, float, float]:
        """Duration, seconds per save and per start, measured where a rehearsal says. Raises ConfigError for jobs too
        short to do anything."""
        measured = self.rehearsal if self.rehearsal is not None and speed.measured else None
        size = storage.checkpoint_bytes(self.shape, self.config.train.optimizer.name)
        save_s = measured.save_s if measured and measured.save_s is not None else cost.save_seconds(size, nodes)
        started = (
            measured.start_s + (measured.load_s or 0) if measured and measured.start_s is not None else cost.START_S
        )
        hours = self.job_hours(nodes)
        found = cost.duration(
            self.tokens(), self.ranks(nodes), speed, save_s=save_s, start_s=started if hours is not None else 0.0,
            save_every_minutes=self.config.train.save_every_minutes, job_hours=hours,
        )  # fmt: skip
        if found.jobs == 0:
            raise ConfigError(
                f"a training job of {hours:g} hours ends before it has trained: it needs {started:,.0f} s to start and "
                f"{cost.LAST_SAVES * save_s:,.0f} s for its last checkpoint. Raise cluster.time_limit_hours."
            )
        return found, save_s, started

    def plan(self, nodes: int) -> Plan:
        """The plan on so many nodes."""
        placed = self.place(nodes)
        speed, run = self.speed(nodes, placed)
        ranks, first = self.ranks(nodes), self.phases[0]
        need = storage.sizes(self.config, self.shape, self.vocab_size, ranks, tokens_of(self.config, self.run_dir))
        plan = self.unpriced(nodes, placed, need)
        if speed is None:
            return replace(plan, storage=storage.storage_needs(self.profile, self.config, need, None))
        spent, save_s, start_s = self.times(nodes, speed)
        rate = Range(speed.low, speed.middle, speed.high)
        per_step = first.batch_rows * first.row_tokens / ranks
        work, power = self.work(nodes, placed, first), self.profile.power
        kwh = cost.energy(spent.hours, nodes, power)
        mfu = [utilisation(work, value) for value in (rate.low, rate.middle, rate.high)] if work.peak_flops else None
        return replace(
            plan,
            tokens_per_s_per_device=rate, measured=speed.measured, basis=speed.basis,
            mfu=Range(*mfu) if mfu else None,
            step_s=Range(per_step / rate.high, per_step / rate.middle, per_step / rate.low),
            hours=spent.hours, jobs=spent.jobs, start_s=start_s, save_s=save_s,
            units=cost.units(spent.hours, nodes, self.profile.billing), energy_kwh=kwh,
            market_kg=cost.carbon(kwh, power.market_kg_per_kwh),
            location_kg=cost.carbon(kwh, power.location_kg_per_kwh),
            storage=storage.storage_needs(self.profile, self.config, need, spent.hours),
            notes=(*plan.notes, *_rehearsed(run), *self.too_many(nodes, spent.jobs)),
        )  # fmt: skip

    def too_many(self, nodes: int, jobs: int) -> tuple[str, ...]:
        """A note where the chain has more jobs than a user may have queued."""
        found = training_queue(self.config, self.profile, nodes)
        most = None if found is None else found[1].max_jobs
        if found is None or most is None or jobs <= most:
            return ()
        return (
            f"{jobs} jobs, of which a user may have {most} on {found[1].partition}: the last of them starts again "
            "until the training is done",
        )

    def unpriced(self, nodes: int, placed: Placed, need: storage.Sizes) -> Plan:
        """Everything that does not depend on the speed."""
        found = training_queue(self.config, self.profile, nodes)
        total = count(self.shape).total
        return Plan(
            schema=SCHEMA, run=self.config.name, cluster=self.profile.name,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            model=f"{self.shape.family}, {_size(total)} parameters", parameters=total,
            steps=sum(phase.steps for phase in self.phases), samples=sum(phase.samples for phase in self.phases),
            tokens=self.tokens(), partition=None if found is None else found[1].partition, nodes=nodes,
            ranks=self.ranks(nodes), layout=placed.layout, memory=placed.memory, tokens_per_s_per_device=None,
            measured=False, basis="the device's peak is not known: rehearse, or run and look", mfu=None, step_s=None,
            hours=None, jobs=1, job_hours=self.job_hours(nodes), start_s=cost.START_S,
            save_s=cost.save_seconds(need.checkpoint_bytes, nodes), unit=self.profile.billing.unit, units=None,
            energy_kwh=None, market_kg=None, location_kg=None, checkpoint_bytes=need.checkpoint_bytes,
            checkpoint_files=need.checkpoint_files, storage=(), checks=data_checks(self.config, self.run_dir),
            scaling=(), layouts=placed.compared, notes=(*_notes(self.profile, placed), *storage.staging_note(
                self.profile, need.checkpoint_bytes, nodes)),
        )  # fmt: skip

    def scaling(self, nodes: int) -> tuple[ScalingRow, ...]:
        """The same run on other numbers of nodes: powers of two that the training queues take, where it fits."""
        taken = node_counts(self.config, self.profile)
        counts = sorted({nodes, *(2**power for power in range(12) if 2**power in taken)})
        return tuple(row for number in counts if (row := self.row(number)) is not None)

    def ends(self, rows: tuple[ScalingRow, ...]) -> tuple[str, ...]:
        """Why the table ends before the queue does, where the batch is the reason."""
        last, most = max((row.nodes for row in rows), default=0), node_counts(self.config, self.profile)[-1]
        least = min(phase.batch_rows for phase in self.phases)
        if not rows or 2 * last > most or self.ranks(2 * last) <= least:
            return ()
        return (f"{2 * last:,} nodes have {self.ranks(2 * last):,} ranks: more than the {least:,} rows of a batch",)

    def row(self, nodes: int) -> ScalingRow | None:
        """One line of the table, or null where the batch does not divide, nothing fits or a job is too short."""
        try:
            placed = self.place(nodes)
            speed, _ = self.speed(nodes, placed)
            if speed is None:
                return None
            spent, *_ = self.times(nodes, speed)
        except ConfigError:
            return None
        ranks = self.ranks(nodes)
        rate = cost.scaled(Range(speed.low, speed.middle, speed.high), ranks)
        units = cost.units(spent.hours, nodes, self.profile.billing)
        return ScalingRow(nodes, ranks, layout_key(placed.layout), rate, spent.hours, units, spent.jobs, speed.measured)


def _size(parameters: int) -> str:
    return f"{parameters / 1e9:,.3g} B" if parameters >= 5e8 else f"{parameters / 1e6:,.3g} M"


def _notes(profile: ClusterProfile, placed: Placed) -> tuple[str, ...]:
    notes = []
    if placed.layout.attention == "sdpa" and placed.memory.activations:
        notes.append("attention is planned as SDPA, whose masks of packed rows are dense; FlashAttention-2 needs none")
    if profile.devices.peak_bf16_flops is None and profile.devices.peak is not None:
        notes.append(f"peak: {profile.devices.source_of('planning_peak_bf16_flops')}")
    power = profile.power
    names = [
        n for n in ("node_watts_low", "node_watts_high", "pue", "location_kg_per_kwh") if getattr(power, n) is None
    ]
    if names and profile.slurm.present:
        told = ", ".join(f"{name} ({power.unknown[name]})" for name in names)
        notes.append(f"not known of {profile.name}, and not in the energy: {told}")
    return tuple(notes)


def _rehearsed(run: RehearsalRun | None) -> tuple[str, ...]:
    if run is None or run.peak_memory_bytes is None:
        return ()
    return (f"measured memory: {run.peak_memory_bytes / 1e9:,.1f} GB on the fullest device of {run.nodes} nodes",)
