"""Bits per byte per language on held-out text, during training.

The same text every time: documents in id order up to `train.validate_max_bytes`, cut into pieces so that the ranks can
share one long book. Windows do not overlap, which costs half of what evaluation's do and reads a little higher; the
final figure of a run is evaluation's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from eurolm.corpus.documents import heldout
from eurolm.corpus.forget import Forgotten
from eurolm.scoring.bits_per_byte import score_documents
from eurolm.tokenizer.load import LoadedTokenizer

PIECE_BYTES = 16_384
BATCH_TOKENS = 8_192


@dataclass(frozen=True)
class Validation:
    """This rank's share of the held-out text."""

    texts: dict[str, list[str]]
    """Per language, the pieces this rank scores."""
    tokenizer: LoadedTokenizer
    window: int
    """Tokens scored at once: the row length of the last phase."""

    def bits_per_byte(self, model: Any, device: torch.device) -> dict[str, float]:
        """Bits per byte of each language over all ranks; every rank must call this."""
        totals = torch.zeros(len(self.texts), 2, dtype=torch.float64)
        for number, texts in enumerate(self.texts.values()):
            scores = score_documents(model, self.tokenizer, texts, self.window, self.window, BATCH_TOKENS)
            totals[number] = torch.tensor(
                [sum(score.bits for score in scores), float(sum(score.bytes for score in scores))]
            )
        totals = totals.to(device)
        dist.all_reduce(totals)
        return {language: (bits / size) for language, (bits, size) in zip(self.texts, totals.tolist(), strict=True)}


def load_validation(
    corpus: Path | None,
    forgotten: Forgotten,
    tokenizer: LoadedTokenizer,
    window: int,
    max_bytes: int,
    rank: int,
    world: int,
) -> Validation:
    """The share of `rank`; no languages at all where the run has no corpus or holds nothing out."""
    texts: dict[str, list[str]] = {}
    for language in heldout_languages(corpus):
        documents = heldout(corpus, language, forgotten) if corpus else []
        found = pieces([document.text for document in documents], max_bytes)
        if found:
            texts[language] = share(found, rank, world)
    return Validation(texts, tokenizer, window)


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


def share(found: list[str], rank: int, world: int) -> list[str]:
    """The pieces of `rank`, longest first to the rank with least to do; a function of the pieces alone."""
    loads = [0] * world
    mine: list[str] = []
    for piece in sorted(found, key=lambda piece: (-len(piece.encode()), piece)):
        chosen = loads.index(min(loads))
        loads[chosen] += len(piece.encode())
        if chosen == rank:
            mine.append(piece)
    return mine
