"""The kinds of jobs a run consists of, and what each asks Slurm for. One template in `slurm/` per kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eurolm.cluster.excluded import excluded_nodes
from eurolm.cluster.profile import ClusterProfile, Purpose, Queue
from eurolm.config.model import Config
from eurolm.errors import ConfigError

Size = Literal["training", "node", "device", "slice"]
SIGNAL_SHARE, SIGNAL_LEAST_S, SIGNAL_MOST_S = 0.05, 60, 600
"""How long before the time limit Slurm tells the batch shell: a share of the limit, within bounds. A training's ranks
know the end of the job themselves; this is the second way. Other jobs start again then."""


@dataclass(frozen=True)
class JobKind:
    """One kind of job."""

    name: str
    """Names its script and its logs."""
    title: str
    """First comment of the script."""
    template: str
    purpose: Purpose
    """Queue it prefers; where the machine has none, the training queue."""
    size: Size
    """`training`: all nodes of the run; `node`: one; `device`: one device with its share of cores, on a shared
    node where the site has such; `slice`: an eighth of a node without devices, or the same as `device`."""
    most_hours: float | None = None
    """Time limit; null takes the queue's, `cluster.time_limit_hours` for training."""
    stages: tuple[str, ...] = ()
    """Arguments of `eurolm run`."""


CORPUS = JobKind("corpus", "Text and tokenizer", "corpus.sbatch.j2", "cpu", "node", None, ("--until", "tokenizer"))
ENCODE = JobKind("encode", "Token shards", "stage.sbatch.j2", "cpu", "node", None, ("--only", "tokens"))
PREFLIGHT = JobKind("preflight", "Check of nodes, devices and network", "preflight.sbatch.j2", "train", "training", 1)
TRAIN = JobKind("train", "Training: one of a chain of jobs, each of which goes on where the last one stopped",
                "train.sbatch.j2", "train", "training")  # fmt: skip
EVALUATE = JobKind("evaluate", "Scores of the model", "stage.sbatch.j2", "train", "device", 12, ("--only", "evaluate"))
REPORT = JobKind("report", "Report", "stage.sbatch.j2", "cpu", "slice", 1, ("--only", "report"))
KINDS = (CORPUS, ENCODE, TRAIN, EVALUATE, REPORT)
EVALUATE_STEP = JobKind("evaluate-step", "Scores of a checkpoint while training goes on", "evaluate-step.sbatch.j2",
                        "train", "device", 12)  # fmt: skip
SCRIPTS = (*KINDS, PREFLIGHT, EVALUATE_STEP)
"""Training jobs do the preflight themselves; its own script is for looking at nodes by hand. They also submit the
scoring of checkpoints."""


def options(kind: JobKind, config: Config, profile: ClusterProfile) -> list[str]:
    """What stands on the `#SBATCH` lines. Raises ConfigError where the machine or the config lacks something."""
    cluster = config.cluster
    if cluster.account is None:
        raise ConfigError(f"cluster.account is not set: {profile.title} bills every job to an account. Set it.")
    queue = queue_of(kind, config, profile)
    seconds = time_limit_s(kind, config, queue)
    found = excluded_nodes(config.run.workspace / "runs" / config.name)
    avoided = list(dict.fromkeys((*cluster.exclude, *found)))
    asked = [
        f"job-name=eurolm-{config.name}-{kind.name}",
        f"account={cluster.account}",
        f"partition={queue.partition}",
        *([f"qos={queue.qos}"] if queue.qos else []),
        *_resources(kind, config, profile, queue),
        f"time={_clock(seconds)}",
        *([f"hint={profile.slurm.hint}"] if profile.slurm.hint else []),
        # A node failure starts the job again; without append the log of the first try would be lost.
        "requeue",
        "open-mode=append",
        f"output=logs/slurm/{kind.name}-%j.log",
        # A job whose predecessor failed would wait for ever.
        "kill-on-invalid-dep=yes",
        *([f"exclude={','.join(avoided)}"] if avoided else []),
        # Dask does again what a lost node was at; the job need not start again for it.
        *(["no-kill"] if kind is CORPUS and config.cluster.corpus_nodes > 1 else []),
    ]
    return [*asked, f"signal=B:USR1@{signal_seconds(seconds)}"]


def nodes_of(kind: JobKind, config: Config) -> int:
    """Nodes of this kind of job."""
    if kind is CORPUS:
        return config.cluster.corpus_nodes
    return config.cluster.nodes if kind.size == "training" else 1


def queue_of(kind: JobKind, config: Config, profile: ClusterProfile) -> Queue:
    """The queue for this kind: of the user's partition and QOS for training, else by purpose and size."""
    cluster = config.cluster
    if kind.size == "training" and kind.purpose == "train" and (cluster.partition or cluster.qos):
        return profile.queue(cluster.partition, cluster.qos)[1]
    if kind.size == "device" and (shared := _shared_queue(kind, profile)) is not None:
        return shared
    fitting = [queue for queue in profile.queues.values() if queue.purpose == kind.purpose]
    nodes = nodes_of(kind, config)
    for queue in fitting:
        if queue.min_nodes <= nodes <= queue.max_nodes:
            return queue
    largest = max(fitting, key=lambda queue: queue.max_nodes, default=None)
    return largest or profile.queue(cluster.partition, cluster.qos)[1]


def _shared_queue(kind: JobKind, profile: ClusterProfile) -> Queue | None:
    """The first queue that gives and bills single devices for as long as the job may take; null where all are whole."""
    for queue in profile.queues.values():
        if queue.purpose in ("train", "small") and not queue.whole_nodes and queue.max_hours >= (kind.most_hours or 0):
            return queue
    return None


def time_limit_s(kind: JobKind, config: Config, queue: Queue) -> int:
    """Time limit in whole minutes, in seconds."""
    wanted = kind.most_hours or (config.cluster.time_limit_hours if kind.size == "training" else None)
    return max(1, int(min(wanted or queue.max_hours, queue.max_hours) * 60)) * 60


def signal_seconds(limit_s: int) -> int:
    """How long before its end the batch shell is told to stop."""
    return int(min(max(SIGNAL_SHARE * limit_s, SIGNAL_LEAST_S), SIGNAL_MOST_S, limit_s // 2))


def _resources(kind: JobKind, config: Config, profile: ClusterProfile, queue: Queue) -> list[str]:
    cores, devices, nodes = profile.cores, profile.devices.per_node, nodes_of(kind, config)
    if queue.purpose == "cpu":
        asked = queue.cores_per_node or cores.usable
        memory = queue.memory_gb_per_node
        share = 1 if kind.size == "node" else max(1, asked // 8)
        gigabytes = memory // share if memory else None
        return [
            f"nodes={nodes}",
            "ntasks-per-node=1",
            f"cpus-per-task={asked // share}",
            *([f"mem={gigabytes}G"] if gigabytes else []),
        ]
    used = 1 if kind.size in ("device", "slice") and not queue.whole_nodes else devices
    whole = used == devices and not queue.whole_nodes and profile.slurm.exclusive
    tasks = used if kind.size == "training" else 1
    return [
        f"nodes={nodes}",
        f"ntasks-per-node={tasks}",
        f"cpus-per-task={cores.per_device * used // tasks}",
        *([f"gpus-per-node={used}"] if profile.devices.gres else []),
        *([f"mem={cores.memory_gb_per_device * used}G"] if cores.memory_gb_per_device else []),
        *(["exclusive"] if whole else []),
    ]


def _clock(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    return f"{days}-{rest // 3600:02d}:{rest % 3600 // 60:02d}:00"
