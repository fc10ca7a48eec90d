"""The three sites as far as Slurm sees them: nodes, partitions, QOS and their limits.

Written from the sites' documents and not from eurolm's machine profiles, so that a profile that asks for what its site
does not grant fails here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CpuNode:
    """A node without devices, and the partitions it is in."""

    name: str
    sockets: int
    cores_per_socket: int
    threads_per_core: int
    memory_mib: int
    partitions: tuple[str, ...]


@dataclass(frozen=True)
class Site:
    """Shape of a site's nodes and what its scheduler grants."""

    name: str
    node_pattern: str
    first_node: int
    gpu: str
    """Slurm's type name of the devices."""
    gpu_flags: str
    gpus: int
    sockets: int
    cores_per_socket: int
    threads_per_core: int
    memory_mib: int
    reserved_cores: int
    account: str
    partitions: tuple[str, ...]
    cpu: CpuNode | None = None
    """A node without devices, where the site has such for jobs of the same account."""
    qos: tuple[tuple[str, str], ...] = ()

    def node(self, index: int) -> str:
        """Name of a node, from 0."""
        return self.node_pattern.format(self.first_node + index)


# LUMI user guide, partitions.md and lumig.md: standard-g 2 d and 1,024 nodes, whole nodes; small-g 3 d and 4 nodes;
# dev-g 3 h and 32 nodes. 512 GB per node, of which jobs are given 480; 56 of 64 cores (low-noise mode).
LUMI = Site(
    name="lumi", node_pattern="nid00{:04d}", first_node=5001, gpu="mi250", gpu_flags="amd_gpu_env", gpus=8,
    sockets=1, cores_per_socket=64, threads_per_core=2, memory_mib=491_520, reserved_cores=8,
    account="project_465000000",
    partitions=(
        "standard-g MaxTime=2-00:00:00 DefaultTime=00:30:00 MaxNodes=1024 OverSubscribe=EXCLUSIVE Default=YES",
        "small-g MaxTime=3-00:00:00 DefaultTime=00:30:00 MaxNodes=4",
        "dev-g MaxTime=03:00:00 DefaultTime=00:30:00 MaxNodes=32",
    ),
    # LUMI-C: two 64-core processors, 256 GB of which jobs are given 224; small 3 d and 4 nodes, standard 2 d and 512.
    cpu=CpuNode(
        name="nid001001", sockets=2, cores_per_socket=64, threads_per_core=2, memory_mib=229_376,
        partitions=(
            "small MaxTime=3-00:00:00 DefaultTime=00:30:00 MaxNodes=4",
            "standard MaxTime=2-00:00:00 DefaultTime=00:30:00 MaxNodes=512 OverSubscribe=EXCLUSIVE",
        ),
    ),
)  # fmt: skip

# CINECA, "Booster Section" (March 2025): normal 64 nodes and 24 h; debug 2 nodes and 30 min; bprod 65-256 full nodes;
# lprod 3 nodes and 4 days. 32 cores, 4 GPUs, 514,000 MB as sinfo shows them.
LEONARDO = Site(
    name="leonardo", node_pattern="lrdn{:04d}", first_node=1001, gpu="a100", gpu_flags="nvidia_gpu_env", gpus=4,
    sockets=1, cores_per_socket=32, threads_per_core=1, memory_mib=514_000, reserved_cores=0,
    account="euhpc_d00_000",
    partitions=("boost_usr_prod MaxTime=1-00:00:00 DefaultTime=00:30:00 MaxNodes=256 Default=YES",),
    # 4 cores and 30.8 GB without a GPU, 4 h.
    cpu=CpuNode(
        name="login14", sockets=1, cores_per_socket=4, threads_per_core=1, memory_mib=31_539,
        partitions=("lrd_all_serial MaxTime=04:00:00 DefaultTime=00:30:00 MaxNodes=1",),
    ),
    qos=(
        ("normal", "MaxTRES=node=64"),
        ("boost_qos_dbg", "MaxWall=00:30:00 MaxTRES=node=2"),
        ("boost_qos_bprod", "MaxWall=1-00:00:00 MaxTRES=node=256 MinTRES=node=65"),
        ("boost_qos_lprod", "MaxWall=4-00:00:00 MaxTRES=node=3"),
    ),
)  # fmt: skip

# MareNostrum 5 ACC: acc_ehpc 72 h and 8,000 cores, acc_debug 2 h and 640 cores, acc_interactive 2 h and 40 cores;
# 80 cores, 4 GPUs and 512 GB a node.
MARENOSTRUM5 = Site(
    name="marenostrum5", node_pattern="as{:02d}r1b1", first_node=1, gpu="h100", gpu_flags="nvidia_gpu_env", gpus=4,
    sockets=2, cores_per_socket=40, threads_per_core=1, memory_mib=515_000, reserved_cores=0,
    account="ehpc00",
    partitions=("acc MaxTime=3-00:00:00 DefaultTime=00:30:00 Default=YES",),
    qos=(
        ("acc_ehpc", "MaxWall=3-00:00:00 MaxTRES=cpu=8000"),
        ("acc_debug", "MaxWall=02:00:00 MaxTRES=cpu=640"),
        ("acc_interactive", "MaxWall=02:00:00 MaxTRES=cpu=40"),
    ),
)  # fmt: skip
SITES = {site.name: site for site in (LUMI, LEONARDO, MARENOSTRUM5)}
