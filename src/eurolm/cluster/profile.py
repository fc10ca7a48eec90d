"""A machine as data: devices, cores, queues, billing, network, power, storage, software, environment.

One YAML file per machine in `configs/clusters/`; a user's own profile extends one (`extends: [clusters/lumi-g.yaml]`).
Every group of values names its source, every null its reason. Nothing about one machine stands anywhere else.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from eurolm.cluster.environment import Container, Software, Trap, Variable
from eurolm.cluster.facts import Fact, Facts
from eurolm.config.load import explain_error
from eurolm.config.shipped import shipped
from eurolm.config.sources import compose
from eurolm.errors import ConfigError

Purpose = Literal["train", "debug", "small", "cpu", "request"]
"""`cpu`: no devices. `small`: shared nodes. `request`: only after asking the operator."""


class Devices(Facts):
    """What Slurm and torch count as one device (on LUMI-G: one GCD)."""

    model: str
    """Name of one device."""
    per_node: int
    """Devices per node."""
    memory_bytes: int | None
    """Memory per device."""
    peak_bf16_flops: float | None
    """Dense bf16 peak per device, FLOP/s."""
    planning_peak_bf16_flops: float | None
    """Peak used to plan where the device's own is not published: that of the stock part of the same generation."""
    comparable: list[str]
    """Devices of configs/throughput.yaml whose published speeds apply, scaled by peak."""
    gres: str | None
    """Generic-resource name of one device type in Slurm (`gpu`, `gpu:a100`)."""

    @property
    def peak(self) -> float | None:
        """Best known peak, FLOP/s: the device's own, else the stock part's."""
        return self.peak_bf16_flops or self.planning_peak_bf16_flops


class Cores(Facts):
    """CPU cores and memory of a node, and which of them belong to which device."""

    total: int
    """Physical cores per node."""
    usable: int
    """Cores a job may ask for per node."""
    per_device: int
    """Cores to ask for per device."""
    exact_per_device: bool
    """Whether the site refuses another ratio of cores to devices."""
    memory_bytes: int | None
    """Memory per node that a job may ask for."""
    memory_gb_per_device: int | None
    """Memory to ask for per device (Slurm `G`)."""
    device_masks: list[str]
    """CPU mask of the rank on each device, in device order; empty where binding is left to Slurm."""
    device_first_cores: list[int]
    """First usable core of each device."""
    device_numa: list[int]
    """NUMA domain of each device."""


class Queue(Facts):
    """A partition with a QOS, and its limits."""

    partition: str
    """Slurm partition."""
    qos: str | None = None
    """Slurm QOS; absent where the partition alone decides."""
    purpose: Purpose
    """What eurolm uses it for."""
    max_hours: float
    """Longest wall time."""
    max_nodes: int
    """Most nodes per job."""
    min_nodes: int = 1
    """Fewest nodes per job."""
    max_cores: int | None = None
    """Most cores per job, where the site counts them."""
    whole_nodes: bool
    """Whether nodes are exclusive."""
    max_jobs: int | None
    """Jobs a user may have queued or running."""
    max_running_jobs: int | None
    """Jobs a user may have running."""
    cores_per_node: int | None = None
    """Cores of a node where they differ from the profile's (a CPU partition)."""
    memory_gb_per_node: int | None = None
    """Memory of a node where it differs from the profile's."""


class Billing(Facts):
    """What the site counts."""

    unit: str
    """Name of the unit, as the site's award letters use it."""
    per_node_hour: float
    """Units for one hour of one whole node."""
    per_device_hour: float
    """Units for one hour of one device on a shared node."""
    cores_per_slice: int | None
    """Cores included in `per_device_hour`; more are charged as further devices."""
    memory_gb_per_slice: int | None
    """Memory included in `per_device_hour`."""
    balance_command: str | None
    """Command that shows what is left."""
    overrun: str | None
    """What happens when the budget ends during a job."""


class Network(Facts):
    """The interconnect."""

    name: str
    """Interconnect."""
    gbit_per_node: int | None
    """Bandwidth per node and direction, Gbit/s."""
    gb_per_s_between_devices: float | None
    """Bandwidth between two devices of a node, GB/s both directions together, worst pair."""
    interfaces: list[str]
    """Network interfaces of collectives; empty where the library finds them."""
    provider: str | None
    """libfabric provider or NCCL network that must be selected; another one is a fallback to TCP."""
    provider_proof: str | None
    """Text in NCCL_DEBUG=INFO output that proves it."""


class Power(Facts):
    """Power and carbon."""

    node_watts_low: float | None
    """A node in training, low end."""
    node_watts_high: float | None
    """A node in training, high end."""
    pue: float | None
    """Power usage effectiveness of the site."""
    market_kg_per_kwh: float | None
    """Carbon of the electricity bought."""
    location_kg_per_kwh: float | None
    """Carbon of the country's grid."""


class Storage(Facts):
    """A storage area."""

    path: str | None
    """Path; may hold `{account}` and `{user}`."""
    quota_bytes: int | None
    """Quota as given by default."""
    quota_files: int | None
    """Most files and directories."""
    billing_factor: float | None
    """Terabyte-hours charged per terabyte-hour used."""
    use: Literal["runs", "caches", "code", "never", "archive", "node"]
    """What eurolm puts there. `node`: local to a node. `never`: too small for anything of a run."""
    note: str = ""
    """What else one must know."""


class Access(Facts):
    """Internet and limits of login and compute nodes."""

    login_internet: bool | None
    """Whether login nodes reach the internet."""
    compute_internet: bool | None
    """Whether compute nodes do."""
    login_cpu_minutes: int | None
    """CPU minutes a login process may use."""
    ssh_to_compute: bool | None
    """Whether one may ssh to a node of one's job."""
    transfer: str | None
    """How data gets in from outside."""
    transfer_host: str | None
    """Host that rsync or scp copies to."""


class Slurm(Facts):
    """The scheduler here; `present: false` for a machine without one."""

    present: bool
    """Whether jobs go through Slurm."""
    version: str | None
    """Version, as last documented."""
    default_requeue: bool | None
    """Whether a job is requeued after a node failure unless told otherwise."""
    hint: str | None
    """Value of `#SBATCH --hint`, set there and never on srun."""
    exclusive: bool | None
    """Whether whole nodes of a partition that shares them are asked for with `--exclusive`."""
    forbidden_options: list[str]
    """Options that break training here: per-task device cgroups cut peer-to-peer transfers."""
    max_array_counts_as_jobs: bool | None
    """Whether each element of an array counts against the job limit."""


class ClusterProfile(Fact):
    """A machine."""

    extends: list[str] = Field(default=[])
    """Profiles this one builds on."""
    name: str
    """Name on the command line."""
    title: str
    """Name for people."""
    nodes: int
    """Nodes with devices."""
    devices: Devices
    cores: Cores
    queues: dict[str, Queue]
    """Partitions with their QOS, by a name of ours."""
    billing: Billing
    network: Network
    power: Power
    storage: dict[str, Storage]
    """Storage areas, by the site's name."""
    access: Access
    slurm: Slurm
    container: Container | None
    software: Software
    environment: dict[str, Variable]
    """Environment of a job."""
    traps: list[Trap]
    """Library versions known to fail here."""
    unknown: dict[str, str] = Field(default={})
    """Why `container` is null."""

    def queue(self, partition: str | None, qos: str | None = None, purpose: Purpose = "train") -> tuple[str, Queue]:
        """The queue of a partition or QOS, or the first one for a purpose; with its name in the profile.

        Raises ConfigError where the machine has none.
        """
        fitting = [
            (name, queue)
            for name, queue in self.queues.items()
            if (queue.partition == partition if partition else qos is not None or queue.purpose == purpose)
            and (qos is None or queue.qos == qos)
        ]
        if fitting:
            return fitting[0]
        known = ", ".join(f"{q.partition}{f' with qos {q.qos}' if q.qos else ''}" for q in self.queues.values())
        wanted = f"cluster.partition = {partition!r}" if partition else f"a partition for {purpose} jobs"
        with_qos = f" with cluster.qos = {qos!r}" if qos else ""
        raise ConfigError(f"{wanted}{with_qos}: {self.name} has none. Known: {known or 'no queues'}. "
                          "A partition of your own goes into a profile that extends this one.")  # fmt: skip


def load_profile(name: str | Path) -> ClusterProfile:
    """A shipped profile by name, or a YAML file by path. Raises ConfigError with file and line for every mistake."""
    place = Path(name)
    if place.suffix not in (".yaml", ".yml"):
        place = shipped("configs") / "clusters" / f"{name}.yaml"
        if not place.is_file():
            close = difflib.get_close_matches(str(name), profile_names(), n=1)
            hint = f"Nearest: {close[0]}." if close else f"Shipped: {', '.join(profile_names())}."
            raise ConfigError(f"cluster {str(name)!r} is not a shipped profile. {hint} Or give a YAML file.")
    composed = compose(place, ())
    try:
        return ClusterProfile.model_validate(composed.tree)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigError("\n".join(explain_error(detail, composed, ClusterProfile) for detail in details)) from None


def profile_names() -> list[str]:
    """Names of the shipped profiles."""
    return sorted(path.stem for path in (shipped("configs") / "clusters").glob("*.yaml"))
