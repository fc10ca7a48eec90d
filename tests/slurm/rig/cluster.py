"""A throw-away but real Slurm on one host: a login node and N compute nodes, each with its own name, address,
processes and /dev/shm.

Everything lives in the namespaces of the login node, so one kill ends all of it and nothing of the host changes: no
bridge, no line in /etc/hosts, no daemon left behind, also when the tests themselves are killed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.slurm.rig.files import GROUP_ID, USERS, Layout, write_files
from tests.slurm.rig.site import SITES

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "unshare", "nsenter", "ip")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
UNSHARE = ("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
UP_WITHIN_S = 30.0
IDLE_WITHIN_S = 60.0
ASKING_EVERY_S = 0.3
"""Asking Slurm costs 20 ms of the cores that the jobs run on."""


def why_not() -> str | None:
    """Why no Slurm can be started here; None when it can."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        return f"{', '.join(missing)} missing (apt-get install slurm-wlm munge iproute2)"
    trial = subprocess.run([*UNSHARE, "--net", "true"], capture_output=True, text=True, check=False)
    return None if trial.returncode == 0 else f"no namespaces here: {trial.stderr.strip()}"


@dataclass(frozen=True)
class NodeState:
    """A node as the controller sees it."""

    state: str
    """As `scontrol show node` has it: IDLE, ALLOCATED+COMPLETING, DOWN+NOT_RESPONDING."""
    registered: str
    """When its slurmd started that registered last."""

    def is_idle(self) -> bool:
        """Whether a job would start on it at once. PLANNED: the scheduler has thought of it for a job that is gone."""
        return self.state in ("IDLE", "IDLE+PLANNED")

    def is_back_since(self, before: str) -> bool:
        """Whether another slurmd registered than the one of `before`, and jobs can run on the node."""
        parts = set(self.state.split("+"))
        up = parts & {"IDLE", "MIXED", "ALLOCATED"} and not parts & {"NOT_RESPONDING", "DRAIN"}
        return self.registered != before and bool(up)


@dataclass
class Cluster:
    """A running cluster. `run` is what a user types on its login node."""

    layout: Layout
    login: subprocess.Popen[bytes]
    login_pid: int
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    """Nodes that were killed and not started since."""

    @property
    def nodes(self) -> list[str]:
        """Names of the compute nodes with devices."""
        return [self.layout.site.node(index) for index in range(self.layout.nodes)]

    @property
    def environment(self) -> dict[str, str]:
        """What every command on this cluster needs."""
        return {"PATH": PATH, "SLURM_CONF": str(self.layout.root / "slurm.conf")}

    def inside(self, *command: str) -> list[str]:
        """The command line that runs `command` on the login node."""
        return ["nsenter", "-t", str(self.login_pid), "-m", "-u", "-n", "-p", "--", *command]

    def run(
        self,
        *command: str,
        cwd: Path | None = None,
        expect: int | None = 0,
        environment: Mapping[str, str] = {},
        timeout: float = 120,
        user: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` on the login node. `expect` is the exit status it must have; None takes any."""
        # The directory as the cluster sees it: nsenter's --wd would be that of the host, below a cover.
        there = ("env", f"--chdir={cwd or Path.cwd()}")
        answer = subprocess.run(
            self.inside(*there, *(as_user(user) if user else ()), *command),
            env={**os.environ, **self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert expect is None or answer.returncode == expect, f"{command}: {answer.returncode}\n{said(answer)}"
        return answer

    def daemon(self, name: str, *command: str) -> None:
        """Start a long-lived process on the login node; its output goes to `log/<name>.out`."""
        with (self.layout.root / "log" / f"{name}.out").open("ab") as log:
            process = subprocess.Popen(
                self.inside(*command),
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        self.daemons.append(process)

    def start_node(self, name: str) -> None:
        """Bring a killed node back. Returns when the controller has its new registration: until then it may still hold
        the old one for good, and send a job to a node on which nothing listens yet."""
        before = self.states()[name].registered
        self.boot(name)
        self.dead.discard(name)
        self.wait_for(lambda: self.states()[name].is_back_since(before), UP_WITHIN_S, f"return of {name}")

    def boot(self, name: str) -> None:
        """Start a compute node's processes."""
        index, root = self.layout.names.index(name), self.layout.root
        address = f"{self.layout.address(index)}/16"
        wires = f"""set -eu
            ip netns del {name} 2>/dev/null || true; ip link del v{index} 2>/dev/null || true
            ip netns add {name}
            ip link add v{index} type veth peer name eth0 address 02:00:00:00:00:{index + 16:02x} netns {name}
            ip link set v{index} master cluster up
            ip -n {name} link set lo up; ip -n {name} addr add {address} dev eth0; ip -n {name} link set eth0 up"""
        self.run("bash", "-c", wires)
        start = (
            f"echo $$ > {root}/run/{name}.unshare; exec nsenter --net=/run/netns/{name} {' '.join(UNSHARE)} "
            f"bash {root}/node_init.sh {name}"
        )
        self.daemon(f"node-{name}", "bash", "-c", start)

    def kill_node(self, name: str) -> None:
        """Power loss: nothing on that node survives."""
        pid = (self.layout.root / "run" / f"{name}.unshare").read_text().strip()
        self.dead.add(name)
        self.run("kill", "-KILL", pid)

    def tidy(self) -> None:
        """What every test leaves: no job, and all nodes up and idle."""
        for user in ("root", *USERS):
            self.run("scancel", f"--user={user}", expect=None)
        for name in sorted(self.dead):
            self.start_node(name)
        self.wait_for(lambda: not self.run("squeue", "-h").stdout.strip(), IDLE_WITHIN_S, "an empty queue")
        self.wait_for(lambda: all(node.is_idle() for node in self.states().values()), IDLE_WITHIN_S, "idle nodes")

    def states(self) -> dict[str, NodeState]:
        """Every node as the controller sees it."""
        lines = self.run("scontrol", "--oneliner", "show", "node").stdout.splitlines()
        described = (dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines)
        return {node["NodeName"]: NodeState(node["State"], node["SlurmdStartTime"]) for node in described}

    def jobs(self) -> dict[str, dict[str, str]]:
        """Every job, finished ones too: id → name, state, reason, restarts, exit code and the like."""
        lines = self.run("scontrol", "--oneliner", "show", "job", expect=None).stdout.splitlines()
        described = (dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines)
        return {job["JobId"]: job for job in described if "JobId" in job}

    def wait_for(self, moment: Callable[[], bool], seconds: float, what: str, every_s: float = 0.05) -> None:
        """Wait until `moment` is true, looking every so often. Fails with the logs' last lines."""
        end = time.monotonic() + seconds
        while not moment():
            assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s\n{self._last_lines()}"
            time.sleep(every_s)

    def wait_for_job(self, job: str, *states: str, seconds: float = 120) -> dict[str, str]:
        """Wait until a job is in one of `states`; its description."""
        ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        wanted = states or ended
        told = f"job {job} {wanted}"
        self.wait_for(lambda: self.jobs()[job]["JobState"] in {*wanted, *ended}, seconds, told, ASKING_EVERY_S)
        found = self.jobs()[job]
        assert found["JobState"] in wanted, f"job {job}: {found}"
        return found

    def _last_lines(self) -> str:
        logs = sorted((self.layout.root / "log").iterdir())
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-600:]}" for path in logs)


@contextmanager
def cluster(
    site: str = "lumi", nodes: int = 2, accounting: bool = False, used: tuple[Path, ...] = ()
) -> Iterator[Cluster]:
    """A cluster with nodes shaped like `site`'s, ended with the block. `accounting` adds slurmdbd and a database;
    `used` names directories that must be there though they lie below one that is closed to others."""
    # A short path: it holds Unix sockets, whose names are limited to 107 bytes.
    root = Path(tempfile.mkdtemp(prefix="eurolm-slurm-"))
    layout = Layout(root, SITES[site], nodes, accounting, used)
    write_files(layout)
    login = subprocess.Popen(
        [*UNSHARE, "--net", "bash", str(root / "login_init.sh")],
        env={**os.environ, "PATH": PATH},
        stdin=subprocess.DEVNULL,
        stdout=(root / "log" / "login.out").open("ab"),
        stderr=subprocess.STDOUT,
        preexec_fn=_die_with_parent,
    )
    try:
        yield _boot(layout, login)
    finally:
        login.kill()
        login.wait()
        shutil.rmtree(root, ignore_errors=True)


def _boot(layout: Layout, login: subprocess.Popen[bytes]) -> Cluster:
    root = layout.root
    end = time.monotonic() + UP_WITHIN_S
    while not (root / "run" / "ready").exists():
        assert time.monotonic() < end and login.poll() is None, (root / "log" / "login.out").read_text()
        time.sleep(0.01)
    started = Cluster(layout, login, int(Path(f"/proc/{login.pid}/task/{login.pid}/children").read_text().split()[0]))
    started.daemon(
        "munged", "munged", "--foreground", "--force", f"--key-file={root}/munge.key", f"--socket={root}/munge.sock",
        f"--pid-file={root}/run/munged.pid", f"--log-file={root}/log/munged.log", f"--seed-file={root}/munge.seed",
    )  # fmt: skip
    started.wait_for(lambda: (root / "munge.sock").exists(), 10, "munged")
    if layout.accounting:
        from tests.slurm.rig.accounting import start_accounting

        start_accounting(started)
    started.daemon("slurmctld", "slurmctld", "-D", "-c")
    for name in layout.names:
        started.boot(name)
    started.wait_for(lambda: all(node.is_idle() for node in started.states().values()), UP_WITHIN_S, "nodes up")
    return started


def as_user(user: str) -> list[str]:
    """The words before a command that a user of the cluster gives."""
    ids = [f"--reuid={USERS[user]}", f"--regid={GROUP_ID}", "--clear-groups"]
    return ["setpriv", *ids, "env", f"USER={user}", f"LOGNAME={user}", "HOME=/tmp"]


def said(answer: subprocess.CompletedProcess[str]) -> str:
    """Both streams of a finished command."""
    return answer.stdout + answer.stderr


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
