"""What a site would refuse or let pend for ever, refused before Slurm sees it: value, rule, source, remedy."""

from __future__ import annotations

from eurolm.cluster.jobs import CORPUS, queue_of
from eurolm.cluster.profile import ClusterProfile, Queue
from eurolm.config.model import Config
from eurolm.errors import ConfigError


def training_queue(config: Config, profile: ClusterProfile, nodes: int) -> tuple[str, Queue] | None:
    """The queue of the training jobs, by name: the config's, else the first whose limits hold `nodes`, else the
    largest; null without Slurm. Raises ConfigError for a partition or QOS the profile does not know."""
    cluster = config.cluster
    if not profile.slurm.present:
        return None
    training = [item for item in profile.queues.items() if item[1].purpose == "train"]
    if cluster.partition is not None or cluster.qos is not None or not training:
        return profile.queue(cluster.partition, cluster.qos)
    for name, queue in training:
        if queue.min_nodes <= nodes <= queue.max_nodes:
            return name, queue
    return max(training, key=lambda item: item[1].max_nodes)


def node_counts(config: Config, profile: ClusterProfile) -> range:
    """Numbers of nodes that the training queue, or any of them where the config names none, takes."""
    named = config.cluster.partition is not None or config.cluster.qos is not None
    queues = [queue for queue in profile.queues.values() if queue.purpose == "train"]
    if profile.slurm.present and named:
        queues = [profile.queue(config.cluster.partition, config.cluster.qos)[1]]
    return range(min((q.min_nodes for q in queues), default=1), max((q.max_nodes for q in queues), default=1) + 1)


def check_limits(config: Config, profile: ClusterProfile, nodes: int, ranks_set: bool) -> None:
    """Raise ConfigError for more than the machine or the queue allows. `ranks_set`: the config names `train.ranks`."""
    found = training_queue(config, profile, nodes)
    if found is None:
        return
    queue, cluster = found[1], config.cluster
    where = queue.partition + (f" with qos {queue.qos}" if queue.qos else "")
    if queue.purpose == "cpu":
        raise ConfigError(
            f"cluster.partition = {queue.partition}: it has no {profile.devices.model}, and training needs them "
            f"({queue.source}). Leave it out{_elsewhere(profile, nodes)}."
        )
    if nodes > queue.max_nodes or nodes < queue.min_nodes:
        word, bound = ("most", queue.max_nodes) if nodes > queue.max_nodes else ("least", queue.min_nodes)
        raise ConfigError(
            f"cluster.nodes = {nodes:,}: a job on {where} of {profile.name} takes at {word} {bound:,} nodes "
            f"({queue.source_of('max_nodes')}). Set cluster.nodes={bound}{_elsewhere(profile, nodes)}."
        )
    cores = nodes * profile.devices.per_node * profile.cores.per_device
    if queue.max_cores is not None and cores > queue.max_cores:
        raise ConfigError(
            f"cluster.nodes = {nodes:,} are {cores:,} cores: a job on {where} of {profile.name} takes at most "
            f"{queue.max_cores:,} ({queue.source_of('max_cores')}). Leave out cluster.qos{_elsewhere(profile, nodes)}."
        )
    hours = cluster.time_limit_hours
    if hours is not None and hours > queue.max_hours:
        raise ConfigError(
            f"cluster.time_limit_hours = {hours:g}: a job on {where} of {profile.name} runs at most "
            f"{queue.max_hours:g} hours ({queue.source_of('max_hours')}). Set it to {queue.max_hours:g} or less: the "
            "training goes on in the next job of the chain."
        )
    if queue.max_jobs is not None and (cluster.training_jobs or 0) > queue.max_jobs:
        raise ConfigError(
            f"cluster.training_jobs = {cluster.training_jobs}: a user may have {queue.max_jobs} jobs on {where} of "
            f"{profile.name} ({queue.source_of('max_jobs')}). Set it to fewer; launch again when they are done."
        )
    _check_corpus(config, profile)
    _check_node(config, profile, nodes, ranks_set)


def _check_corpus(config: Config, profile: ClusterProfile) -> None:
    nodes, queue = config.cluster.corpus_nodes, queue_of(CORPUS, config, profile)
    if nodes > queue.max_nodes:
        raise ConfigError(
            f"cluster.corpus_nodes = {nodes:,}: a job on {queue.partition} of {profile.name} takes at most "
            f"{queue.max_nodes:,} nodes ({queue.source_of('max_nodes')}). Set cluster.corpus_nodes={queue.max_nodes}."
        )


def _check_node(config: Config, profile: ClusterProfile, nodes: int, ranks_set: bool) -> None:
    devices, cores = profile.devices, profile.cores
    if ranks_set and config.train.ranks > nodes * devices.per_node:
        raise ConfigError(
            f"train.ranks = {config.train.ranks} on cluster.nodes = {nodes} are {config.train.ranks / nodes:g} devices "
            f"per node; a node of {profile.name} has {devices.per_node} ({devices.source_of('per_node')}). "
            f"Set train.ranks={nodes * devices.per_node}, or more nodes; or leave it out, it follows from the nodes."
        )
    threads = config.train.threads_per_rank
    if threads is None:
        return
    asked = threads * devices.per_node
    if asked > cores.usable:
        raise ConfigError(
            f"train.threads_per_rank = {threads} on {devices.per_node} ranks per node are {asked} cores; a job on "
            f"{profile.name} may have {cores.usable} of a node's {cores.total} ({cores.source_of('usable').strip()}). "
            f"Set it to {cores.usable // devices.per_node} or less, or leave it out."
        )
    if cores.exact_per_device and threads != cores.per_device:
        raise ConfigError(
            f"train.threads_per_rank = {threads}: {profile.name} gives exactly {cores.per_device} cores per device "
            f"({cores.source_of('exact_per_device').strip()}). Leave it out."
        )


def _elsewhere(profile: ClusterProfile, nodes: int) -> str:
    """Queues that would take so many nodes."""
    others = [
        queue.partition + (f" with cluster.qos={queue.qos}" if queue.qos else "")
        for queue in profile.queues.values()
        if queue.purpose in ("train", "request") and queue.min_nodes <= nodes <= queue.max_nodes
    ]
    return f", or cluster.partition={' or '.join(others)}" if others else ""
