"""A rank process: `python -m eurolm.train.rank SPEC`. Hears requests to stop, and starts the
node's copier, before torch is loaded."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from pathlib import Path

from eurolm.train.copier import Copier
from eurolm.train.inputs import read_spec
from eurolm.train.lifeline import PARENT, die_with_parent
from eurolm.train.stopping import StopRequest


def main(spec_path: Path) -> int:
    """Run the rank that the environment names (RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT)."""
    die_with_parent()
    # A job whose ranks are silent asks them where they stand, before it ends them.
    faulthandler.register(signal.SIGUSR2)
    os.environ[PARENT] = str(os.getpid())
    spec = read_spec(spec_path)
    rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    stop = StopRequest(spec.stop_file if rank == 0 else None)
    # Before the imports below, which take seconds.
    stop.listen()
    copier = Copier(spec.logs / f"copier-{rank}.log") if local == 0 else None
    from eurolm.train.worker import run_rank

    status = run_rank(spec, copier, rank, stop)
    if copier is not None:
        copier.close()
    return status


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
