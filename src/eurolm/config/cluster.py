"""Config of the machine a run is meant for: which profile, whose allocation, how many nodes, in what environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from eurolm.config.fields import Observation, Section

SlurmWord = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
"""Account, partition, QOS, node: what Slurm itself allows in such a name, so that it can stand in a job script."""


class ClusterConfig(Section):
    """The machine the run is meant for. None of it changes a number of the run."""

    name: Observation[str] = "local"
    """Machine profile: a shipped one (`eurolm cluster show`) or a YAML file of your own that extends one."""
    account: Observation[SlurmWord | None] = None
    """Project or account that is billed: `project_465000000` on LUMI."""
    partition: Observation[SlurmWord | None] = None
    """Partition of the training jobs; null takes the profile's."""
    qos: Observation[SlurmWord | None] = None
    """Quality of service of the training jobs; null takes the profile's."""
    nodes: Observation[int] = Field(default=1, ge=1)
    """Nodes of a training job; the ranks are nodes × devices of the profile."""
    corpus_nodes: Observation[int] = Field(default=1, ge=1)
    """Nodes of the job that cleans the corpus and trains the tokenizer; above 1, Dask spreads shards over them."""
    time_limit_hours: Observation[float | None] = Field(default=None, gt=0)
    """Time limit of one training job; null takes the partition's longest."""
    training_jobs: Observation[int | None] = Field(default=None, ge=1, le=200)
    """Training jobs in the chain; null takes the plan's estimate and one to spare. Surplus ones are cancelled."""
    preflight: Observation[bool] = True
    """Whether a training job checks its nodes before training: a minute or two, paid on all of them."""
    exclude: Observation[list[SlurmWord]] = []
    """Nodes known to be bad. The preflight job adds those it finds."""
    container: Observation[Path | None] = None
    """Container image; null takes the profile's."""
    environment: Observation[Path | None] = None
    """Python environment (venv) of the jobs; null takes the one that `eurolm launch` runs in. Unused in a container."""
    user_software: Observation[Path | None] = None
    """squashfs of a venv made inside the container, bound to `/user-software`."""
