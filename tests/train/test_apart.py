"""A kernel that lets documents of a row see each other is found out before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.train.driver import run_group
from tests.train.test_engine import cut, cyclic, start

from eurolm.errors import MachineError


def kernel_that_leaks(rank: int) -> list[str]:
    """What the check at the start says of a kernel that keeps documents apart, and of one that sees whole rows."""
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    from eurolm.train.apart import check_documents_apart

    engine, said = start(2, False, zero_stage=3), []
    batch, _ = cyclic(0)
    row = cut(batch, rank, 2, 1)[0]
    # A kernel that transformers knows no mask for gets none.
    AttentionInterface.register("sees_whole_rows", sdpa_attention_forward)
    for kernel in ("eager", "sdpa", "sees_whole_rows"):
        engine.model.set_attn_implementation(kernel)
        try:
            check_documents_apart(engine, row)
            said.append("")
        except MachineError as error:
            said.append(str(error))
    return said


def test_a_kernel_that_lets_documents_see_each_other_is_refused(context: Any, tmp_path: Path) -> None:
    for eager, sdpa, leaking in run_group(context, tmp_path / "group", 2, kernel_that_leaks):
        assert (eager, sdpa) == ("", "")
        assert "see each other with attention sees_whole_rows" in leaking
