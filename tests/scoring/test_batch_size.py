"""The size of a batch: fixed on a CPU, halved until it fits elsewhere, the smallest of all ranks'."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from eurolm.errors import MachineError
from eurolm.scoring import batch_size
from eurolm.scoring.batch_size import CPU_TOKENS, MOST_TOKENS, automatic_batch_tokens
from eurolm.scoring.ranks import Ranks


def test_a_cpu_takes_what_its_cache_likes(model: Any) -> None:
    assert automatic_batch_tokens(model, 100) == CPU_TOKENS


def test_elsewhere_the_size_is_halved_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that ends at a size stands in for a device."""
    device = torch.nn.Linear(2, 2, device="meta")
    tried: list[int] = []

    def memory_for(tokens: int) -> None:
        def attempt(_: Any, rows: int, width: int) -> None:
            tried.append(rows * width)
            if rows * width > tokens:
                raise torch.OutOfMemoryError("out of memory")

        monkeypatch.setattr(batch_size, "_try", attempt)

    memory_for(10**9)
    assert automatic_batch_tokens(device, 1000) == MOST_TOKENS
    memory_for(20_000)
    assert automatic_batch_tokens(device, 1000) == 16_384
    assert max(tried[1:]) <= 1.25 * MOST_TOKENS
    # A text longer than what several could be still runs alone; one beyond the memory does not.
    assert automatic_batch_tokens(device, 16_000) == 16_384
    memory_for(3000)
    with pytest.raises(MachineError, match="a text of 4000 tokens does not fit the free memory"):
        automatic_batch_tokens(device, 4000)
    memory_for(70_000)
    other = Ranks(1, 2, lambda value: [(8192, None), value])
    assert automatic_batch_tokens(device, 100, other) == 8192
