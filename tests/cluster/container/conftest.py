"""What only scripts/apptainer runs is not collected elsewhere: a test that cannot run is not one that was skipped."""

from __future__ import annotations

from tests.cluster.container.standin import REAL

collect_ignore = [] if REAL else ["test_real.py"]
