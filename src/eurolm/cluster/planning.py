"""`eurolm plan` without its command line: config → plan, stored in the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from eurolm.artifacts.paths import Workspace, make_writable
from eurolm.cluster.chain import is_training
from eurolm.cluster.launch import profile_place
from eurolm.cluster.plan import make_plan
from eurolm.cluster.plan_record import Plan, read_rehearsal, write_plan
from eurolm.cluster.profile import load_profile
from eurolm.cluster.submit import last_launch, share_with_group
from eurolm.config.load import load_config

CONTRACT = "not stored: the run is launched, and its plan stays what `eurolm status` compares with"


def plan_run(
    config_file: Path, overrides: tuple[str, ...], cluster: str | None, nodes: int | None, *, launching: bool = False
) -> Plan:
    """Plan the run of a config and store it as `runs/<name>/plan.json`. A rehearsal that is there is used.

    The plan of a launched training is a contract: only `launching` replaces it. Raises ConfigError for what the machine
    or the model cannot do.
    """
    chosen = [] if cluster is None else [f"cluster.name={cluster}"]
    chosen += [] if nodes is None else [f"cluster.nodes={nodes}"]
    loaded = load_config(config_file, (*overrides, *chosen))
    profile = load_profile(profile_place(loaded.config.cluster.name, config_file))
    run_dir = Workspace(loaded.config.run.workspace.resolve()).run(loaded.config.name)
    rehearsal = read_rehearsal(run_dir)
    if rehearsal is not None and rehearsal.cluster != profile.name:
        rehearsal = None
    made = make_plan(loaded, profile, run_dir, rehearsal=rehearsal)
    launch = last_launch(run_dir)
    if not launching and launch is not None and not launch.cancelled and any(map(is_training, launch.jobs)):
        return replace(made, notes=(*made.notes, CONTRACT))
    share_with_group(loaded.config.run.umask)
    make_writable(run_dir)
    write_plan(run_dir, made)
    return made
