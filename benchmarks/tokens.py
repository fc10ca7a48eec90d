"""Tokens and mixture: encoding against per-document preprocessing, then packing, finding samples and making batches.

Encoders run one after another, three times over, with one thread each, every one in a process of its own. The rest has
no peer that does the same thing: those figures stand for themselves.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.corpus import documents
from benchmarks.figures import Figure, against, spend
from eurolm.artifacts.atomic import write_json
from eurolm.config.tokens import MixtureConfig, PhaseConfig, TokenizerConfig
from eurolm.console import Reporter
from eurolm.mixture.mixture import Mixture
from eurolm.tokenizer.stage import build_tokenizer
from eurolm.tokens.description import ShardRecord, SourceRecord, TokensRecord, write_description
from eurolm.tokens.packing import PackCounts, PackJob, folder, pack_shard
from eurolm.tokens.shards import write_index

COMMAND = "scripts/bench tokens"
LANGUAGES = ("lv", "et")
REPEATS = 3
FAST_BYTES, PEER_BYTES = 100_000_000, 12_000_000
QUICK_FAST_BYTES, QUICK_PEER_BYTES = 40_000_000, 3_000_000
"""The fast engine gets more text: what keeps the peers busy for seconds is too little to time it on."""
SINGLE = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
COLUMNS = ("id", "text", "language", "source", "license", "url", "date", "group", "register", "meta")
DOCUMENTS = 3_000_000
SHORT_DOCUMENTS = 300_000
ROW_TOKENS, BATCH_ROWS = 2048, 64
DISTANT = 10**9


def run(quick: bool) -> dict[str, Figure]:
    """All figures of tokens and mixture."""
    with tempfile.TemporaryDirectory(prefix="eurolm-bench-") as name:
        place = Path(name)
        return {**_encoding(place, quick), **_packing(place), **_reading(place)}


def _encoding(place: Path, quick: bool) -> dict[str, Figure]:
    engine = "fastokens" if find_spec("fastokens") else "tokenizers"
    much, some = (QUICK_FAST_BYTES, QUICK_PEER_BYTES) if quick else (FAST_BYTES, PEER_BYTES)
    texts = {language: _texts(language, much // len(LANGUAGES)) for language in LANGUAGES}
    _write_text(place / "much", texts)
    _write_text(place / "some", {language: own[:: much // some] for language, own in texts.items()})
    (place / "some" / "tokenizer").mkdir()
    build_tokenizer(TokenizerConfig(), place / "some" / "corpus", place / "some" / "tokenizer", Reporter("quiet"))
    shutil.copytree(place / "some" / "tokenizer", place / "much" / "tokenizer")
    contenders = [(engine, "much"), ("tokenizers", "some"), ("encode_batch", "some"), ("megatron", "some")]
    rates: list[list[float]] = [[_rate(name, place / text) for name, text in contenders] for _ in range(REPEATS)]
    ours, slow, raw, per_document = (statistics.median(values) for values in zip(*rates, strict=True))
    unit = "Mtok/CPU-s"
    return {
        "tokens.encode": against(
            ours, unit, COMMAND, "Megatron-style, per document", per_document,
            f"Parquet to shards with {engine}, {much / 1e6:.0f} MB; the peer every {much // some}th document",
        ),
        "tokens.encode_batch": against(
            slow, unit, COMMAND, "encode_batch alone", raw,
            "Parquet to shards without the fast engine; the peer has the texts in memory and writes nothing",
        ),
    }  # fmt: skip


def _rate(name: str, place: Path) -> float:
    """Million tokens per CPU-second of one contender."""
    with tempfile.TemporaryDirectory(dir=place) as out:
        spent = spend([sys.executable, "-m", "benchmarks.encoding", name, place, out], SINGLE)
    measured = json.loads(spent.output.splitlines()[-1])
    return float(measured["tokens"] / measured["cpu_s"] / 1e6)


def _texts(language: str, limit: int) -> list[str]:
    """About `limit` bytes of documents; the text is repeated where there is not so much."""
    texts: list[str] = []
    size = 0
    while size < limit:
        for document in documents(language):
            texts.append(document["text"])
            size += len(document["text"].encode())
            if size >= limit:
                break
    return texts


def _write_text(place: Path, texts: dict[str, list[str]]) -> None:
    """The same documents as a corpus in Parquet and as JSONL."""
    for language, own in texts.items():
        columns = {name: pa.nulls(len(own), pa.string()) for name in COLUMNS}
        columns |= {"text": pa.array(own), "id": pa.array([f"{language}-{n}" for n in range(len(own))])}
        columns |= {name: pa.array([language] * len(own)) for name in ("language", "source")}
        path = place / "corpus" / "documents" / language / "00000.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table(columns), path, compression="zstd")
    with (place / "text.jsonl").open("w", encoding="utf-8") as lines:
        for own in texts.values():
            lines.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in own)


def _packing(place: Path) -> dict[str, Figure]:
    """Pack indexes of three million documents, everything included: lengths read, order, rows, files written."""
    lengths = np.maximum(8, np.exp(np.random.default_rng(1).normal(4.0, 0.9, DOCUMENTS))).astype(np.int32)
    stem = place / "lengths" / "00000"
    _write_shard(stem, lengths, sparse=True)
    seconds: dict[str, list[float]] = {"concat": [], "bestfit": []}
    for number in range(REPEATS):
        for mode, spent in seconds.items():
            job = PackJob(stem, place / "packs" / f"{mode}-{number}", "lengths/00000", ROW_TOKENS, mode, 1)
            spent.append(_cpu_s(partial(pack_shard, job)))
    note = f"{DOCUMENTS:,} documents, {int(lengths.sum()) / 1e6:.0f} Mtok, one core"
    return {
        "tokens.concat_index": against(statistics.median(seconds["concat"]), "CPU-s", COMMAND, note=note),
        "tokens.bestfit": against(statistics.median(seconds["bestfit"]), "CPU-s", COMMAND, note=note),
    }


def _reading(place: Path) -> dict[str, Figure]:
    rng = np.random.default_rng(1)
    texts = {"long": np.maximum(8, np.exp(rng.normal(8.0, 1.0, 6000))), "short": rng.integers(20, 109, SHORT_DOCUMENTS)}
    mixtures = {name: _mixture(place / name, lengths.astype(np.int32)) for name, lengths in texts.items()}
    rates: dict[str, list[float]] = {name: [] for name in mixtures}
    for _ in range(REPEATS):
        for name, mixture in mixtures.items():
            rates[name].append(_assembly(mixture))
    distant = [_cpu_s(partial(mixtures["long"].sample, n)) for n in range(DISTANT, DISTANT + 50 * 4096, 4096)]
    rows = f"rows of {ROW_TOKENS:,}, batches of {BATCH_ROWS}"
    median = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "tokens.assembly": against(
            median["long"], "Mtok/CPU-s", COMMAND, note=f"documents of some 5,000 tokens, {rows}"
        ),
        "tokens.assembly_short": against(median["short"], "Mtok/CPU-s", COMMAND, note=f"of 64 tokens, {rows}"),
        "tokens.sample": against(
            statistics.median(distant) * 1e3, "CPU-ms", COMMAND, note=f"sample(i), i ≥ {DISTANT:,}"
        ),
    }


def _mixture(place: Path, lengths: NDArray[np.int32]) -> Mixture:
    """A mixture over one shard of random ids."""
    stem, index = place / "tokens" / "s" / "00000", folder(ROW_TOKENS, "bestfit")
    _write_shard(stem, lengths, sparse=False)
    counts = pack_shard(PackJob(stem, place / "packs" / index / "s/00000", "s/00000", ROW_TOKENS, "bestfit", 1))
    shard = ShardRecord("s/00000", len(lengths), counts.tokens, None)
    source = SourceRecord(None, shard.documents, shard.tokens, None, {}, (shard,))
    write_description(place / "tokens", TokensRecord("0" * 64, 32_768, 0, "uint16", None, {"s": source}))
    _write_packs(place / "packs", index, counts)
    phase = PhaseConfig(tokens=2 * DISTANT * ROW_TOKENS, row_tokens=ROW_TOKENS, batch_rows=BATCH_ROWS, max_epochs=1e9)
    return Mixture.open(MixtureConfig(phases=[phase]), place / "tokens", place / "packs")


def _write_packs(place: Path, index: str, counts: PackCounts) -> None:
    write_json(place / "packs.json", {"eod_id": 0, "indexes": {index: {"s": [asdict(counts)]}}})


def _write_shard(stem: Path, lengths: NDArray[np.int32], sparse: bool) -> None:
    """A shard of random ids; a sparse one has its size and no content."""
    stem.parent.mkdir(parents=True)
    tokens = int(lengths.sum(dtype=np.int64))
    with stem.with_name(stem.name + ".bin").open("wb") as stream:
        if sparse:
            stream.truncate(2 * tokens)
        else:
            np.random.default_rng(1).integers(1, 32_768, tokens).astype(np.uint16).tofile(stream)
    write_index(stem.with_name(stem.name + ".idx"), lengths, np.uint16)


def _assembly(mixture: Mixture) -> float:
    """Million tokens per CPU-second over a hundred batches."""

    def batches() -> None:
        for first in range(0, 100 * BATCH_ROWS, BATCH_ROWS):
            mixture.rows(range(first, first + BATCH_ROWS))

    return 100 * BATCH_ROWS * ROW_TOKENS / _cpu_s(batches) / 1e6


def _cpu_s(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
