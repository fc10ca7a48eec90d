"""Held-out text: bits per byte of the model, of the untrained model and of n-gram models on the same documents."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eurolm.artifacts.atomic import write_text
from eurolm.config.evaluate import EvaluateConfig
from eurolm.console import Reporter
from eurolm.corpus.documents import Document, heldout
from eurolm.corpus.forget import NOTHING, Forgotten
from eurolm.evaluate import ngram
from eurolm.evaluate.intervals import cluster_sums, ratio_interval
from eurolm.evaluate.results import LanguageScore, Rows
from eurolm.evaluate.subject import Subject
from eurolm.evaluate.training_text import training_text
from eurolm.evaluate.units import Units
from eurolm.scoring.bits_per_byte import BOS_POLICY, score_documents


@dataclass(frozen=True)
class HeldoutText:
    """The documents of one language that are scored, in id order."""

    language: str
    documents: list[Document]
    available: int
    available_bytes: int

    @property
    def sizes(self) -> list[int]:
        """UTF-8 bytes of each document."""
        return [len(document.text.encode()) for document in self.documents]

    @property
    def sha256(self) -> str:
        """Hash of ids and texts."""
        digest = hashlib.sha256()
        for document in self.documents:
            digest.update(json.dumps([document.id, document.text]).encode())
        return digest.hexdigest()


def choose_text(corpus: Path, language: str, max_bytes: int, forgotten: Forgotten = NOTHING) -> HeldoutText:
    """Whole held-out documents in id order within `max_bytes`; one that would not fit is passed over, but for the
    first: so that one long document cannot crowd out the others."""
    found = heldout(corpus, language, forgotten)
    chosen: list[Document] = []
    room = max_bytes
    for document in found:
        size = len(document.text.encode())
        if size <= room or not chosen:
            chosen.append(document)
            room -= size
    return HeldoutText(language, chosen, len(found), sum(len(document.text.encode()) for document in found))


def model_bits(
    subject: Subject,
    text: HeldoutText,
    window: int,
    stride: int,
    batch_tokens: int,
    units: Units,
    role: str,
    reporter: Reporter,
) -> list[tuple[float, int]]:
    """(bits, tokens) of each document under a model; a unit."""

    def compute() -> list[list[float]]:
        with reporter.task(f"{text.language} text, {role}", 100, "%") as task:
            scores = score_documents(
                subject.model,
                subject.tokenizer,
                [document.text for document in text.documents],
                window,
                stride,
                batch_tokens,
                lambda share: task.advance(100 * share),
                subject.device.workers,
            )
        return [[score.bits, score.tokens] for score in scores]

    identity = {
        "model": subject.identity,
        "tokenizer": subject.tokenizer.sha256,
        "text": text.sha256,
        "window": window,
        "stride": stride,
        "policy": BOS_POLICY,
        "dtype": subject.device.dtype_name,
        "device": subject.device.name,
    }
    return [(bits, int(tokens)) for bits, tokens in units.value(f"text-{text.language}-{role}", identity, compute)]


def ngram_bits(
    corpus: Path, corpus_sha256: str, text: HeldoutText, config: EvaluateConfig, units: Units, reporter: Reporter
) -> dict[str, Any]:
    """`bits` of each document per order, `bytes` the models learnt from, whether that is `complete`; a unit."""

    def compute() -> dict[str, Any]:
        with reporter.task(f"{text.language} n-grams", 100, "%") as task:
            training, complete = training_text(corpus, text.language, config.ngram_max_bytes)
            task.advance(30)
            models = ngram.train(training, config.ngram_orders)
            task.advance(60)
            scored = [document.text for document in text.documents]
            bits = {str(size): model.bits(scored).tolist() for size, model in models.items()}
            task.advance(10)
        return {"bits": bits, "bytes": sum(len(part.encode()) for part in training), "complete": complete}

    if not config.ngram_orders:
        return {"bits": {}, "bytes": 0, "complete": True}
    identity = {
        "corpus": corpus_sha256,
        "text": text.sha256,
        "orders": sorted(set(config.ngram_orders)),
        "max_bytes": config.ngram_max_bytes,
    }
    value: dict[str, Any] = units.value(f"text-{text.language}-ngram", identity, compute)
    return value


def language_score(
    text: HeldoutText,
    own: Sequence[tuple[float, int]],
    before: Sequence[tuple[float, int]] | None,
    counted: dict[str, Any],
    vocab_size: int,
) -> LanguageScore:
    """The figures of one language from the scores of its documents."""
    sizes = text.sizes
    total, tokens = sum(sizes), sum(count for _, count in own)
    bits = [cost for cost, _ in own]
    clusters = [document.group or document.id for document in text.documents]
    interval = ratio_interval(*cluster_sums(np.stack([bits, sizes], 1), clusters).T)
    ngrams = {size: math.fsum(costs) / total for size, costs in counted["bits"].items()}
    rows = Rows(
        untrained=math.fsum(cost for cost, _ in before) / total if before is not None else None,
        uniform=math.log2(vocab_size) * tokens / total,
        ngram_3=ngrams.get("3"),
        ngram_5=ngrams.get("5"),
        ngrams=ngrams,
    )
    return LanguageScore(
        value=math.fsum(bits) / total,
        low=interval.low,
        high=interval.high,
        documents=len(sizes),
        bytes=total,
        tokens=tokens,
        clusters=len(set(clusters)),
        rows=rows,
        sources=_by_source(text.documents, bits, sizes),
    )


def write_documents(
    path: Path,
    text: HeldoutText,
    own: Sequence[tuple[float, int]],
    before: Sequence[tuple[float, int]] | None,
    counted: dict[str, Any],
) -> None:
    """One JSON line per scored document."""
    lines = []
    for index, (document, size) in enumerate(zip(text.documents, text.sizes, strict=True)):
        record = {
            "id": document.id,
            "source": document.source,
            "group": document.group,
            "bytes": size,
            "tokens": own[index][1],
            "bits": own[index][0],
            "untrained_bits": before[index][0] if before is not None else None,
            **{f"ngram_{order}_bits": costs[index] for order, costs in counted["bits"].items()},
        }
        lines.append(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(path, "".join(lines))


def _by_source(found: Sequence[Document], bits: Sequence[float], sizes: Sequence[int]) -> dict[str, float]:
    sums: dict[str, list[float]] = {}
    for document, cost, size in zip(found, bits, sizes, strict=True):
        entry = sums.setdefault(document.source, [0.0, 0.0])
        entry[0] += cost
        entry[1] += size
    return {source: cost / size for source, (cost, size) in sorted(sums.items())}
