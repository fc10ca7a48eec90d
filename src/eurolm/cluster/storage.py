"""Bytes and files of a run, against the quotas of the site."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eurolm.cluster.plan_record import Range, StorageNeed
from eurolm.cluster.profile import ClusterProfile
from eurolm.config.model import Config
from eurolm.model.memory import parameter_groups
from eurolm.model.size import Shape
from eurolm.train.staging import RESERVE

CHECKPOINT_EXTRA_FILES = 12
"""Files of a checkpoint beside one per rank: model, tokenizer, state, receipt, manifest."""
RUN_FILES = 2000
"""Everything else of a run: logs, metrics, report, evaluation. A planning value."""
UINT16_VOCABULARY = 65_500
"""Largest vocabulary whose ids take two bytes (Megatron's rule)."""
SHARD_TOKENS = 10**9
"""Tokens per shard, at least, when the number of shard files is estimated."""


@dataclass(frozen=True)
class Sizes:
    """Bytes and files."""

    checkpoint_bytes: int
    checkpoint_files: int
    checkpoints: int
    """Kept at once, the one being written included."""
    token_bytes: int
    token_files: int


def checkpoint_bytes(shape: Shape, optimizer: str) -> int:
    """One checkpoint: fp32 masters and moments (the bf16 weights are the masters, rounded). Muon has one bf16 momentum
    per matrix."""
    matrices, rest = (sum(group) for group in parameter_groups(shape))
    state = 2 if optimizer == "muon" else 8
    return (4 + state) * matrices + (4 + 8) * rest


def sizes(config: Config, shape: Shape, vocab_size: int, ranks: int, tokens: Path | None) -> Sizes:
    """What the run will hold. `tokens`: the finished tokens artifact, or null to estimate it from the horizon."""
    train, horizon = config.train, sum(phase.samples * phase.row_tokens for phase in config.mixture.phases)
    permanent = horizon // train.permanent_every_tokens if train.permanent_every_tokens else 0
    if tokens is not None:
        files = [path for path in tokens.rglob("*") if path.is_file()]
        token_bytes, token_files = sum(path.stat().st_size for path in files), len(files)
    else:
        # Every token of the horizon once: what repeats needs less, what is never drawn more.
        token_bytes = horizon * (2 if vocab_size <= UINT16_VOCABULARY else 4)
        token_files = 3 * max(1, horizon // SHARD_TOKENS)
    return Sizes(
        checkpoint_bytes=checkpoint_bytes(shape, train.optimizer.name),
        checkpoint_files=ranks + CHECKPOINT_EXTRA_FILES,
        checkpoints=train.keep_checkpoints + 1 + permanent,
        token_bytes=token_bytes,
        token_files=token_files,
    )


def storage_needs(profile: ClusterProfile, config: Config, need: Sizes, hours: Range | None) -> tuple[StorageNeed, ...]:
    """The areas that hold runs, against their quotas."""
    account = config.cluster.account or "ACCOUNT"
    total = need.checkpoints * need.checkpoint_bytes + need.token_bytes
    files = need.checkpoints * need.checkpoint_files + need.token_files + RUN_FILES
    found = []
    for name, area in profile.storage.items():
        if area.use != "runs":
            continue
        factor = area.billing_factor
        billed = None if factor is None or hours is None else total / 1e12 * hours.middle * factor
        path = area.path.replace("{account}", account) if area.path else None
        found.append(StorageNeed(name, path, total, files, area.quota_bytes, area.quota_files, billed))
    return tuple(found)


def staging_note(profile: ClusterProfile, checkpoint_bytes: int, nodes: int) -> tuple[str, ...]:
    """Where a node's part of a checkpoint does not fit into its memory file system, by default half of its memory, a
    save goes straight to the workspace and training waits for it (train/staging.py)."""
    part, memory = checkpoint_bytes / nodes, profile.cores.memory_bytes
    if memory is None or part * RESERVE <= memory / 2:
        return ()
    return (
        f"a node's part of a checkpoint is {part / 1e9:,.0f} GB, too much for half of its memory: saves go straight to "
        "the workspace and training waits for them; more nodes make the part smaller",
    )
