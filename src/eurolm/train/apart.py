"""Documents of a row must not see each other: asked of the engine that is about to train.

Which kernel keeps them apart, and when, differs between versions of transformers and kernels, and a mistake shows
nowhere: the loss even looks better. So the live model answers: where the first half of each row is one document, and
that is changed, the loss of the second half must stay what it was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from eurolm.errors import MachineError
from eurolm.train.compilation import uncompiled
from eurolm.train.engine import Engine
from eurolm.train.step import probe_loss

ROWS = 2
"""Some kernels find documents in a batch of one row alone."""
PASSES = 3
"""So often each loss is taken: equal passes may differ where a device adds up atomically, and then say nothing."""


def check_documents_apart(engine: Engine, row: Any) -> None:
    """Ask with the tokens of `row`, a batch of one; every rank must call this. Raises MachineError where they are not
    kept apart."""
    half = row.input_ids.shape[1] // 2
    if half == 0:
        return
    batch = replace(row, **{name: np.repeat(array, ROWS, axis=0) for name, array in vars(row).items()})
    batch.position_ids[:] = np.arange(batch.position_ids.shape[1])
    batch.position_ids[:, half:] -= half
    batch.targets[:, :half] = -1
    batch.targets[:, half:] = batch.input_ids[:, half:]
    with uncompiled():
        before = [probe_loss(engine, batch) for _ in range(PASSES)]
        batch.input_ids[:, :half] = batch.input_ids[:, -1:]
        after = [probe_loss(engine, batch) for _ in range(PASSES)]
    if max(before) < min(after) or max(after) < min(before):
        raise MachineError(
            f"documents packed into one row see each other with attention {engine.model.config._attn_implementation}: "
            f"the loss of one changed from {before[0]!r} to {after[0]!r} with the tokens of another. Set "
            "train.attention=sdpa and report this with the versions of transformers and flash-attn."
        )
