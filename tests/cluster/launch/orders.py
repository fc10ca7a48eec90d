"""Orders to render, without a machine's own paths in them."""

from __future__ import annotations

from pathlib import Path

from eurolm.cluster.profile import ClusterProfile, load_profile
from eurolm.cluster.render import Order, with_ranks
from eurolm.config.model import Config

HOME = Path("/scratch/project_465000000/anna")
SITES = {
    "lumi-g": {"account": "project_465000000"},
    "leonardo": {"account": "euhpc_d00_000", "container": "/leonardo_work/euhpc_d00_000/eurolm.sif"},
    "marenostrum5": {"account": "ehpc00", "container": "/gpfs/projects/ehpc00/eurolm.sif"},
}


def order(
    site: str = "lumi-g",
    profile: ClusterProfile | None = None,
    workdir: Path = HOME,
    config_file: Path = HOME / "baltic-1b.yaml",
    overrides: tuple[str, ...] = (),
    **cluster: object,
) -> Order:
    """A run of two nodes on a site."""
    profile = profile or load_profile(site)
    settings = {"name": site, "nodes": 2, **SITES.get(site, {}), **cluster}
    kept = {"permanent_every_tokens": 10**10}
    scored = {"checkpoint_suite": "baltic-base"}
    config = Config.model_validate({"name": "baltic-1b", "cluster": settings, "train": kept, "evaluate": scored})
    return Order(config, profile, config_file, with_ranks(overrides, config, profile), workdir)
