"""From a config and a machine profile to job scripts. Pure but for reading the templates."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eurolm.cluster.jobs import CORPUS, EVALUATE_STEP, SCRIPTS, JobKind, options, queue_of
from eurolm.cluster.preflight_record import limits
from eurolm.cluster.profile import ClusterProfile
from eurolm.cluster.quoting import templates
from eurolm.cluster.workers import node_workers
from eurolm.config.model import Config
from eurolm.config.shipped import shipped
from eurolm.errors import ConfigError

RANK_SCRIPT = "rank.sh"
ENVIRONMENT = "environment.sh"
LOOK_EVERY_S = 60
"""How often a training job looks for a new checkpoint to be scored."""
SILENT_S = 1800
SILENT_STEPS = 20
"""A training that writes nothing for so long, and for so many of its slowest planned steps, hangs; torch's own limit on
a collective is 30 minutes too, but is not always reached (laifs-container-recipes issue 44)."""
CACHES = "cache"
"""Directory of the workspace for what libraries keep: off $HOME, shared by the nodes."""


@dataclass(frozen=True)
class Order:
    """What is launched, and from where."""

    config: Config
    profile: ClusterProfile
    config_file: Path
    overrides: tuple[str, ...]
    workdir: Path
    """Directory the command is given in: relative paths of the config count from here."""
    silent_s: int = SILENT_S
    """Seconds without a word from any rank after which a training job gives its ranks up."""

    @property
    def run_dir(self) -> Path:
        """`runs/<name>`, absolute."""
        return (self.workdir / self.config.run.workspace).resolve() / "runs" / self.config.name

    @property
    def ranks_per_node(self) -> int:
        """One rank per device."""
        return self.profile.devices.per_node


def silence(config: Config, slowest_step_s: float) -> int:
    """Seconds of silence that mean a hang, where a step takes at most `slowest_step_s`."""
    return max(SILENT_S, math.ceil(max(SILENT_STEPS, 2 * config.train.log_every_steps) * slowest_step_s))


def with_ranks(overrides: tuple[str, ...], config: Config, profile: ClusterProfile) -> tuple[str, ...]:
    """The overrides of a job: the ranks follow from the nodes, their threads from the cores of a device."""
    cluster = config.cluster
    derived = [f"train.ranks={cluster.nodes * profile.devices.per_node}"]
    if config.train.threads_per_rank is None:
        derived.append(f"train.threads_per_rank={profile.cores.per_device}")
    return (*overrides, *derived)


def render(kind: JobKind, order: Order, **more: Any) -> str:
    """The script of one kind of job; `more` goes to its template. Raises ConfigError for what cannot stand in it."""
    template = templates().get_template(kind.template)
    return template.render(**context(kind, order), **more)


def render_all(order: Order, kinds: tuple[JobKind, ...] = SCRIPTS) -> dict[str, str]:
    """File name → text of everything that goes to `runs/<name>/slurm/`."""
    if checkpoint_suite(order.config) is None:
        kinds = tuple(kind for kind in kinds if kind is not EVALUATE_STEP)
    scripts = {f"{kind.name}.sbatch": render(kind, order) for kind in kinds}
    environment = templates().get_template(f"{ENVIRONMENT}.j2").render(**_environment(order))
    return {**scripts, ENVIRONMENT: environment, RANK_SCRIPT: (shipped("slurm") / RANK_SCRIPT).read_text()}


def context(kind: JobKind, order: Order) -> dict[str, Any]:
    """What the template of a job is given."""
    config, profile = order.config, order.profile
    return {
        "template": kind.template,
        "title": f"{kind.title}: {config.name} on {profile.title}.",
        "options": options(kind, config, profile),
        "workdir": order.workdir,
        "run_dir": order.run_dir,
        "container": profile.container is not None,
        "python": python_command(order),
        "config": [order.config_file, *order.overrides],
        "stages": list(kind.stages),
        "nodes": config.cluster.nodes,
        "ranks": config.cluster.nodes * order.ranks_per_node,
        "ranks_per_node": order.ranks_per_node,
        "cores_per_rank": profile.cores.per_device,
        "preflight": config.cluster.preflight,
        "preflight_minutes": 10 + math.ceil(sum(limits(config.cluster.nodes * order.ranks_per_node).values()) / 60),
        "checkpoint_suite": checkpoint_suite(config),
        "look_every_s": LOOK_EVERY_S,
        "silent_s": order.silent_s,
        "corpus_nodes": config.cluster.corpus_nodes,
        "corpus_workers": node_workers(profile, queue_of(CORPUS, config, profile)),
        "masks": profile.cores.device_masks[: order.ranks_per_node],
    }


def checkpoint_suite(config: Config) -> str | None:
    """Suite for checkpoints while training goes on; None where no checkpoint is kept for good."""
    return config.evaluate.checkpoint_suite if config.train.permanent_every_tokens is not None else None


def _environment(order: Order) -> dict[str, Any]:
    profile = order.profile
    local = [area.path for area in profile.storage.values() if area.use == "node" and area.path]
    return {
        "name": order.config.name,
        "machine": profile.title,
        "modules": [line.split() for line in (profile.container or profile.software).modules],
        "container": profile.container is not None,
        "forbidden_paths": profile.container.forbidden_paths if profile.container else [],
        "umask": order.config.run.umask,
        "node_root": local[0] if local else "/tmp",  # noqa: S108 - where every node has room of its own
        "cache_dir": order.run_dir.parents[1] / CACHES,
        "environment": [(name, v.value, v.reason, v.source) for name, v in profile.environment.items()],
    }


def python_command(order: Order) -> list[str]:
    """The words before `-m eurolm`: Python of the container, of the user's environment, or the one running now."""
    cluster, container = order.config.cluster, order.profile.container
    if container is None:
        return [str(cluster.environment.absolute() / "bin" / "python") if cluster.environment else sys.executable]
    image = cluster.container or container.image
    if image is None:
        raise ConfigError(
            f"cluster.container is not set, and {order.profile.title} has no image of its own: {_why(container)}. "
            "Set it, or take a profile without a container."
        )
    for old in container.forbidden_paths:
        if str(image).startswith(old):
            raise ConfigError(f"cluster.container = {image} lies under {old}, which the site's bindings refuse.")
    python, binds = container.python or "python3", bound_directories(order)
    if cluster.user_software is not None:
        binds = [*binds, f"{order.workdir / cluster.user_software}:{container.venv_mount}:image-src=/"]
        python = f"{container.venv_mount}/bin/python"
    shown = (word for bind in binds for word in ("--bind", bind))
    return [*container.command, *shown, str(order.workdir / image), python]


def no_eurolm(config: Config, profile: ClusterProfile) -> bool:
    """Whether the jobs would run in the site's own image, with nothing added to it."""
    container, cluster = profile.container, config.cluster
    site_image = container is not None and container.image is not None and cluster.container is None
    return site_image and cluster.user_software is None


def bound_directories(order: Order) -> list[str]:
    """Directories that a job reads or writes, as a container must be told of them: workspace, config, named paths."""
    named = [order.workdir / text for text in _texts(order.config.model_dump(mode="json")) if "/" in text]
    # A pattern such as /data/*.jsonl lies in the last directory before its first wildcard.
    plain = [next(p for p in (path, *path.parents) if not set(str(p)) & set("*?[")) for path in named]
    folders = [path if path.is_dir() else path.parent for path in plain if path.exists() or path.parent.is_dir()]
    # A link among them leads to a place that must be shown too.
    folders += [folder.resolve() for folder in folders]
    workspace = order.run_dir.parents[1]
    wanted = sorted({workspace, order.workdir.resolve(), order.config_file.resolve().parent, *folders})
    kept: list[Path] = []
    for path in wanted:
        if not any(path.is_relative_to(other) for other in kept) and path != Path("/"):
            kept.append(path)
    for path in kept:
        if set(str(path)) & set(":,"):
            raise ConfigError(f"{path} holds a colon or a comma: a container cannot be told to show it. Rename it.")
    return [str(path) for path in kept]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def _why(container: Any) -> str:
    return str(container.unknown.get("image", "its profile names none"))
