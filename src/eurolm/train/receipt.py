"""The receipt of a checkpoint: what a load must find in the live engine before it may spend a GPU-hour.

Per tensor and state two integer sums of the bit patterns, modulo 2^64: a plain one, and one in which each element
counts 2 × place + 1 times, so that elements or shards which changed places are noticed too. Integers add up to the same
whatever the order, so a receipt is exact at every world size and ZeRO stage. Beside them the optimizer's step counters
and the loss of one row, which also proves what is not a tensor: rotary base, attention mask, tokenizer of the rows.

"My loss changed after resume" is the one complaint found in every framework; several were silent for months.
"""

from __future__ import annotations

from dataclasses import dataclass

from eurolm.errors import EurolmError

ACROSS_WORLDS = 1e-6
"""Relative difference of the probe loss allowed where another number of ranks or threads computes it."""
ACROSS_KERNELS = 2e-3
"""The same where another device, attention kernel or version of a library computes it: they round bf16 elsewhere (eager
and SDPA differ by 2e-5 on a small model). The sums prove every tensor all the same."""
NAMED = 5

Sums = dict[str, dict[str, list[int]]]


class ReceiptError(EurolmError):
    """What was loaded is not what was saved."""

    exit_code = 11


@dataclass(frozen=True)
class Receipt:
    """`receipt.json` of a checkpoint."""

    sums: Sums
    """Parameter → state (`weight`, `master`, names of the optimizer) → [plain sum, sum by place]."""
    steps: dict[str, int]
    """Parameter → the optimizer's step counter."""
    probe_loss: str
    """Summed loss of the probe row, as a hex float."""


def differences(expected: Receipt, found: Receipt, allowed: float = 0.0) -> list[str]:
    """What differs, a sentence each. `allowed` is a relative difference of the probe loss; 0 asks for every bit."""
    said = []
    for name in sorted(expected.sums.keys() | found.sums.keys()):
        before, after = expected.sums.get(name, {}), found.sums.get(name, {})
        wrong = [state for state in sorted(before.keys() | after.keys()) if before.get(state) != after.get(state)]
        if wrong:
            said.append(f"{name}: {', '.join(wrong)}")
    steps = [name for name in sorted(expected.steps) if expected.steps[name] != found.steps.get(name)]
    if steps:
        name = steps[0]
        counts = f"{found.steps.get(name)} instead of {expected.steps[name]}"
        said.append(f"step counter of {len(steps)} tensors, first {name}: {counts}")
    before_loss, after_loss = float.fromhex(expected.probe_loss), float.fromhex(found.probe_loss)
    if not abs(after_loss - before_loss) <= allowed * abs(before_loss):
        said.append(f"loss of the probe row: {after_loss!r} instead of {before_loss!r}")
    return said


def check(expected: Receipt, found: Receipt, allowed: float, checkpoint: str) -> None:
    """Raises ReceiptError naming what differs."""
    said = differences(expected, found, allowed)
    if said:
        more = f", and {len(said) - NAMED} more" if len(said) > NAMED else ""
        raise ReceiptError(
            f"{checkpoint} was loaded, but the engine does not hold what was saved: {'; '.join(said[:NAMED])}{more}. "
            "Its files have the right hashes, so loading went wrong: training stops before it spends anything. Report "
            "this with the log of the ranks; `eurolm verify RUN` checks the files again."
        )
