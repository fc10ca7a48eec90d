"""Bits per byte per language on held-out text, during training.

The same text every time: documents in id order up to `train.validate_max_bytes`, cut into pieces so that one long book
does not make the whole. Windows do not overlap, which costs half of what evaluation's do and reads a little higher; the
final figure of a run is evaluation's. The ranks go in step, each with its rows of every batch, because at ZeRO-3 no
rank can use the model alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from eurolm.corpus.documents import heldout
from eurolm.corpus.forget import Forgotten
from eurolm.mixture.rows import Batch
from eurolm.scoring.bits_per_byte import document_rows, encode
from eurolm.scoring.loglikelihood import IGNORED, ScoredRow
from eurolm.tokenizer.load import LoadedTokenizer
from eurolm.train.engine import Engine
from eurolm.train.step import probe_loss

PIECE_BYTES = 16_384
BATCH_TOKENS = 8_192
"""Padded tokens of a rank's batch."""


@dataclass(frozen=True)
class Validation:
    """This rank's batches of the held-out text; every rank has the same number of them."""

    batches: dict[str, list[Batch]]
    """Per language."""
    bytes: dict[str, int]
    """UTF-8 bytes per language, of all ranks."""

    def bits_per_byte(self, engine: Engine) -> dict[str, float]:
        """Bits per byte of each language over all ranks; every rank must call this."""
        engine.model.eval()
        nats = torch.tensor(
            [[math.fsum(probe_loss(engine, batch) for batch in batches)] for batches in self.batches.values()],
            dtype=torch.float64,
            device=engine.device,
        ).view(-1)
        engine.model.train()
        dist.all_reduce(nats)
        return {
            language: total / math.log(2) / self.bytes[language]
            for language, total in zip(self.batches, nats.tolist(), strict=True)
        }


def load_validation(
    corpus: Path | None,
    forgotten: Forgotten,
    tokenizer: LoadedTokenizer,
    window: int,
    max_bytes: int,
    rank: int,
    world: int,
) -> Validation:
    """The share of `rank`, in windows of `window` tokens; no languages at all where the run has no corpus or holds
    nothing out."""
    batches: dict[str, list[Batch]] = {}
    sizes: dict[str, int] = {}
    for language in heldout_languages(corpus):
        documents = heldout(corpus, language, forgotten) if corpus else []
        found = pieces([document.text for document in documents], max_bytes)
        if not found:
            continue
        rows = [row for ids in encode(tokenizer, found) for row in document_rows(ids, tokenizer.eod_id, window, window)]
        batches[language] = share(rows, rank, world, tokenizer.eod_id)
        sizes[language] = sum(len(piece.encode()) for piece in found)
    return Validation(batches, sizes)


def heldout_languages(corpus: Path | None) -> list[str]:
    """Languages with held-out text, sorted."""
    if corpus is None or not (corpus / "heldout").is_dir():
        return []
    return sorted(path.name for path in (corpus / "heldout").iterdir() if any(path.glob("*.parquet")))


def pieces(texts: list[str], max_bytes: int) -> list[str]:
    """Pieces of at most `PIECE_BYTES` UTF-8 bytes, in order, until `max_bytes`; characters stay whole."""
    found: list[str] = []
    left = max_bytes
    for text in texts:
        data = text.encode()[:left]
        left -= len(data)
        start = 0
        while start < len(data):
            end = min(start + PIECE_BYTES, len(data))
            while start < end < len(data) and data[end] & 0xC0 == 0x80:
                end -= 1
            # A character cut by the byte limit is dropped.
            if piece := data[start:end].decode(errors="ignore"):
                found.append(piece)
            start = end
        if left <= 0:
            break
    return found


def share(rows: Sequence[ScoredRow], rank: int, world: int, pad_id: int) -> list[Batch]:
    """The batches of `rank`: rows of like length together, dealt out in turn; a function of the rows alone.

    Where the last rows do not go round, the ranks left over get a row whose targets do not count.
    """
    order = sorted(range(len(rows)), key=lambda place: -len(rows[place].inputs))
    batches, start = [], 0
    while start < len(order):
        longest = len(rows[order[start]].inputs)
        together = max(1, BATCH_TOKENS // longest) * world
        mine = [rows[place] for place in order[start : start + together][rank::world]]
        batches.append(_padded(mine, longest, pad_id))
        start += together
    return batches


def _padded(rows: Sequence[ScoredRow], longest: int, pad_id: int) -> Batch:
    """int64 [rows, longest] each; one row without targets where there is none."""
    shape = (max(1, len(rows)), longest)
    inputs, targets = np.full(shape, pad_id, np.int64), np.full(shape, IGNORED, np.int64)
    for number, row in enumerate(rows):
        inputs[number, : len(row.inputs)] = row.inputs
        targets[number, : len(row.targets)] = row.targets
    positions = np.tile(np.arange(longest, dtype=np.int64), (shape[0], 1))
    return Batch(inputs, positions, targets)
