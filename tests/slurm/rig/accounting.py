"""slurmdbd with a database of its own: accounts, QOS and their limits are enforced only with it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.slurm.rig.cluster import Cluster

DATABASE_OPTIONS = (
    "--skip-networking", "--skip-grant-tables", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M",
    "--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=900", "--skip-log-bin",
)  # fmt: skip
PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db")


def why_no_accounting(path: str) -> str | None:
    """Why accounting cannot be started here; None when it can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    return f"{', '.join(missing)} missing (apt-get install slurmdbd mariadb-server)" if missing else None


def start_accounting(cluster: Cluster) -> None:
    """Start the database and slurmdbd, and enter the site's account and QOS for root."""
    root, site = cluster.layout.root, cluster.layout.site
    socket, data = f"{root}/db.sock", f"{root}/db"
    cluster.run(
        "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
        "--auth-root-authentication-method=normal", "--user=root",
    )  # fmt: skip
    cluster.daemon(
        "mariadbd", "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket}",
        f"--pid-file={root}/run/db.pid", "--user=root", *DATABASE_OPTIONS,
    )  # fmt: skip
    ping = ("mariadb-admin", "--no-defaults", f"--socket={socket}", "ping")
    cluster.wait_for(lambda: cluster.run(*ping, expect=None).returncode == 0, 30, "mariadbd")
    cluster.daemon("slurmdbd", "env", f"MYSQL_UNIX_PORT={socket}", "slurmdbd", "-D")
    show = ("sacctmgr", "-n", "show", "cluster")
    cluster.wait_for(lambda: cluster.run(*show, expect=None, timeout=30).returncode == 0, 30, "slurmdbd")
    manage = ("sacctmgr", "-i")
    cluster.run(*manage, "add", "cluster", site.name)
    for name, limits in site.qos:
        cluster.run(*manage, "add", "qos", name, expect=None)
        cluster.run(*manage, "modify", "qos", name, "set", *limits.split(), "Flags=DenyOnLimit")
    granted = ",".join(["normal", *(name for name, _ in site.qos if name != "normal")])
    cluster.run(*manage, "add", "account", site.account, f"cluster={site.name}")
    cluster.run(
        *manage, "add", "user", "root", f"account={site.account}", f"cluster={site.name}", f"qos={granted}",
        expect=None,
    )  # fmt: skip
