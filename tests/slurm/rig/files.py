"""Configuration files of a throw-away cluster."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from tests.slurm.rig.reachable import covering
from tests.slurm.rig.site import Site

LOGIN = "uan01"
LOGIN_ADDRESS = "10.77.0.1"
GROUP, GROUP_ID = "baltic", 4000
USERS = {"anna": 4001, "juris": 4002}
"""Two colleagues of one group, known on this cluster only."""

SLURM_CONF = """\
ClusterName={site.name}
SlurmctldHost={login}({address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.sock,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/%n.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/%n.log
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
EnforcePartLimits=ALL
JobRequeue=1
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=6
MessageTimeout=5
TCPTimeout=2
KillWait=3
InactiveLimit=0
BatchStartTimeout=10
UnkillableStepTimeout=10
MinJobAge=3600
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=50000,sched_interval=2,bf_interval=2,\
bf_yield_sleep=10000,requeue_delay=0,defer_batch
"""
# The munge socket of sacctmgr and sacct is taken from AccountingStoragePass, not from AuthInfo.
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePass={root}/munge.sock
AccountingStorageEnforce=associations,limits,qos
AccountingStorageTRES=gres/gpu
"""
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={root}/munge.sock
DbdHost=localhost
SlurmUser=root
LogFile={root}/log/slurmdbd.log
PidFile={root}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
"""
# PID 1 of the login node and of the compute nodes. Bash reaps orphans while it waits.
LOGIN_INIT = """\
set -eu
hostname {login}
mount --make-rprivate /
for file in hosts passwd group; do mount --bind {root}/$file /etc/$file; done
{covers}mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns
ip link set lo up
ip link add cluster type bridge && ip addr add {address}/16 dev cluster && ip link set cluster up
touch {root}/run/ready
while :; do sleep 3600 & wait $! || true; done
"""
NODE_INIT = """\
set -eu
hostname "$1"
mount --make-rprivate /
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
exec 0</dev/null
slurmd -D -N "$1" & daemon=$!
while kill -0 "$daemon" 2>/dev/null; do wait "$daemon" || true; done
"""


@dataclass(frozen=True)
class Layout:
    """A cluster's directory and how many nodes of which site are in it."""

    root: Path
    site: Site
    nodes: int
    accounting: bool
    used: tuple[Path, ...] = ()
    """Directories of the host that jobs of root use."""

    @property
    def names(self) -> list[str]:
        """Names of all compute nodes: those with devices, then the one without."""
        gpu_nodes = [self.site.node(index) for index in range(self.nodes)]
        return gpu_nodes + ([self.site.cpu.name] if self.site.cpu else [])

    def address(self, index: int) -> str:
        """IP address of a node."""
        return f"10.77.1.{10 + index}"


def write_files(layout: Layout) -> None:
    """Everything the daemons read."""
    root, site = layout.root, layout.site
    for name in ("state", "spool", "log", "run", "dev"):
        (root / name).mkdir(parents=True)
    root.chmod(0o755)
    key = root / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    names = {"root": root, "site": site, "login": LOGIN, "address": LOGIN_ADDRESS}
    hosts = ["127.0.0.1 localhost", "::1 localhost ip6-localhost", f"{LOGIN_ADDRESS} {LOGIN}"]
    lines = [SLURM_CONF.format(**names) + (ACCOUNTING.format(**names) if layout.accounting else "")]
    for index in range(layout.nodes):
        name, address = site.node(index), layout.address(index)
        (root / "spool" / name).mkdir()
        # The second form is what c10d looks up when it asks who connected.
        hosts += [f"{address} {name}", f"::ffff:{address} {name}"]
        lines.append(
            f"NodeName={name} NodeAddr={address} Sockets={site.sockets} CoresPerSocket={site.cores_per_socket} "
            f"ThreadsPerCore={site.threads_per_core} RealMemory={site.memory_mib} Gres=gpu:{site.gpu}:{site.gpus} "
            f"CoreSpecCount={site.reserved_cores} State=UNKNOWN"
        )
    gpu_nodes = ",".join(site.node(index) for index in range(layout.nodes))
    lines += [f"PartitionName={partition} Nodes={gpu_nodes} State=UP" for partition in site.partitions]
    if site.cpu is not None:
        address = layout.address(layout.nodes)
        (root / "spool" / site.cpu.name).mkdir()
        hosts += [f"{address} {site.cpu.name}", f"::ffff:{address} {site.cpu.name}"]
        lines.append(
            f"NodeName={site.cpu.name} NodeAddr={address} Sockets={site.cpu.sockets} "
            f"CoresPerSocket={site.cpu.cores_per_socket} ThreadsPerCore={site.cpu.threads_per_core} "
            f"RealMemory={site.cpu.memory_mib} State=UNKNOWN"
        )
        lines += [f"PartitionName={partition} Nodes={site.cpu.name} State=UP" for partition in site.cpu.partitions]
    (root / "slurm.conf").write_text("\n".join(lines) + "\n")
    (root / "hosts").write_text("\n".join(hosts) + "\n")
    people = [f"{user}:x:{number}:{GROUP_ID}::/tmp:/bin/bash\n" for user, number in USERS.items()]
    (root / "passwd").write_text(Path("/etc/passwd").read_text() + "".join(people))
    (root / "group").write_text(Path("/etc/group").read_text() + f"{GROUP}:x:{GROUP_ID}:\n")
    (root / "login_init.sh").write_text(LOGIN_INIT.format(**names, covers=covering(root, layout.used)))
    (root / "node_init.sh").write_text(NODE_INIT)
    (root / "gres.conf").write_text(_devices(layout))
    dbd = root / "slurmdbd.conf"
    dbd.write_text(SLURMDBD_CONF.format(**names))
    dbd.chmod(0o600)


def _devices(layout: Layout) -> str:
    """Devices that look real to slurmd, which insists on device files: copies of /dev/null."""
    site = layout.site
    for index in range(site.gpus):
        os.mknod(layout.root / "dev" / f"gpu{index}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    return f"Name=gpu Type={site.gpu} File={layout.root}/dev/gpu[0-{site.gpus - 1}] Flags={site.gpu_flags}\n"
