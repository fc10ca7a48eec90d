"""Config of the machine a run is meant for."""

from __future__ import annotations

from typing import Literal

from eurolm.config.fields import Observation, Section


class ClusterConfig(Section):
    """The machine the run is meant for."""

    name: Observation[Literal["local"]] = "local"
    """Machine profile."""
