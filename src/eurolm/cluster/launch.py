"""`eurolm launch` without its command line: config → order → jobs and scripts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eurolm.cluster import screen
from eurolm.cluster.chain import PlannedJob, chain
from eurolm.cluster.jobs import KINDS, TRAIN, options, queue_of
from eurolm.cluster.plan_record import Plan
from eurolm.cluster.profile import load_profile
from eurolm.cluster.render import Order, no_eurolm, render_all, silence, with_ranks
from eurolm.config.load import load_config
from eurolm.errors import ConfigError

SPARE_JOBS = 1
"""Training jobs beyond the plan's estimate: a node failure or a slow day costs one. An unused one is cancelled."""


@dataclass(frozen=True)
class Prepared:
    """A run ready to be submitted."""

    order: Order
    jobs: list[PlannedJob]
    scripts: dict[str, str]


def prepare(config_file: Path, overrides: tuple[str, ...], plan: Plan, workdir: Path) -> Prepared:
    """Everything but submitting, with the layout and the number of jobs of the plan.

    Raises ConfigError for a machine without Slurm and for what cannot stand in a job script.
    """
    order = order_of(config_file, overrides, plan, workdir)
    return Prepared(order, chain(KINDS, training_jobs(order, plan)), render_all(order))


def check_files(order: Order) -> None:
    """Raise ConfigError where a job could not start for want of its image, software or Python: found here at once, in a
    queue after hours."""
    cluster, container = order.config.cluster, order.profile.container
    if container is None:
        named = {"cluster.environment": cluster.environment / "bin" / "python"} if cluster.environment else {}
    else:
        if no_eurolm(order.config, order.profile):
            raise ConfigError(
                f"cluster.user_software is not set, and the image of {order.profile.title} has no eurolm: "
                f"scripts/container-extension {container.image} eurolm.sqsh makes it, once (docs/lumi.md)."
            )
        found = {
            "cluster.container": cluster.container or container.image,
            "cluster.user_software": cluster.user_software,
        }
        named = {what: Path(place) for what, place in found.items() if place is not None}
    for what, place in named.items():
        if not (order.workdir / place).exists():
            beside = sorted(path.name for path in (order.workdir / place).parent.glob(f"*{place.suffix or '*'}"))
            others = f" Beside it: {', '.join(beside[-4:])}." if beside else ""
            raise ConfigError(f"{what} = {place}: it is not there, and no job could start.{others} Set {what}.")


def training_jobs(order: Order, plan: Plan) -> int:
    """Length of the chain: the config's, else the plan's and one to spare; no more than a user may have queued beside
    the run's other jobs, because the last of the chain starts again until the training is done."""
    wanted = order.config.cluster.training_jobs or plan.jobs + SPARE_JOBS
    queues = [queue_of(kind, order.config, order.profile) for kind in KINDS]
    own = queues[KINDS.index(TRAIN)]
    beside = sum(queue.partition == own.partition for queue in queues) - 1
    return wanted if own.max_jobs is None else max(1, min(wanted, own.max_jobs - beside))


def order_of(config_file: Path, overrides: tuple[str, ...], plan: Plan, workdir: Path) -> Order:
    """What is launched. Raises ConfigError for a machine without Slurm."""
    config = load_config(config_file, overrides).config
    profile = load_profile(profile_place(config.cluster.name, config_file))
    if not profile.slurm.present:
        raise ConfigError(
            f"cluster.name = {config.cluster.name}: {profile.title} has no Slurm. Name a cluster (--cluster lumi-g), "
            f"or run it here: eurolm run {config_file}."
        )
    overrides = with_ranks((*overrides, *plan.layout.overrides), config, profile)
    loaded = load_config(config_file, overrides)
    slowest = plan.step_s.high if plan.step_s is not None else 0.0
    return Order(loaded.config, profile, loaded.path, overrides, workdir, silence(loaded.config, slowest))


def table(prepared: Prepared) -> list[str]:
    """The jobs for people: what each asks for and waits for."""
    order = prepared.order
    rows = []
    for job in prepared.jobs:
        asked = dict(option.partition("=")[::2] for option in options(job.kind, order.config, order.profile))
        queue = queue_of(job.kind, order.config, order.profile)
        partition = f"{queue.partition}/{queue.qos}" if queue.qos else queue.partition
        waits = [*job.after_success, *(f"{name} (any end)" for name in job.after_end)]
        rows.append((job.name, partition, asked["nodes"], asked["time"], ", ".join(waits)))
    right = (False, False, True, True, False)
    return screen.table(("job", "partition", "nodes", "time", "waits for"), rows, right=right, indent="")


def profile_place(name: str, config_file: Path) -> str | Path:
    """A shipped profile's name as it is; a file relative to the config."""
    return config_file.resolve().parent / name if name.endswith((".yaml", ".yml")) else name
