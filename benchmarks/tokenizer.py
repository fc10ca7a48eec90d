"""Training a tokenizer against the trainer of `tokenizers`, and what the parity search does to text it never saw.

Both sides read the same Parquet shards of Latvian and Estonian text in equal parts, one process and one thread each, in
turns; whole programs, imports and export included. The vocabularies must be the same, merge for merge.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.corpus import LANGUAGES, SINGLE, documents
from benchmarks.environments import ROOT
from benchmarks.figures import Figure, against, spend
from eurolm.config.tokens import TokenizerConfig
from eurolm.console import Reporter
from eurolm.tokenizer.counts import build_counts, read_counts
from eurolm.tokenizer.inventory import read_inventory
from eurolm.tokenizer.parity import Parity, search
from eurolm.tokenizer.scoring.intervals import Estimate, compared, resample
from eurolm.tokenizer.special import special_tokens
from eurolm.tokenizer.train import Vocabulary, train

COMMAND = "scripts/bench tokenizer"
PARALLEL = ROOT.parent / "shared" / "data" / "eval" / "multi"
SUITES = {"flores": "flores101_devtest.jsonl", "ntrex": "ntrex128.jsonl"}
BYTES = 20_100_000
"""Text per language."""
SHARDS = 4
VOCAB_SIZE = 32_768
TURNS, QUICK_TURNS = 3, 1


def run(quick: bool) -> dict[str, Figure]:
    """All figures of the tokenizer stage."""
    with tempfile.TemporaryDirectory(prefix="eurolm-bench-") as name:
        place = Path(name)
        size = write_corpus(place / "corpus", BYTES)
        figures = _training(place, size, QUICK_TURNS if quick else TURNS)
        return figures | _parity(place)


def write_corpus(corpus: Path, limit: int) -> int:
    """Parquet shards per language of about `limit` bytes each, documents taken evenly; returns the bytes of all."""
    total = 0
    for language in LANGUAGES:
        texts = [record["text"] for record in documents(language)]
        sizes = [len(text.encode()) for text in texts]
        share, seen, taken, kept = min(1.0, limit / sum(sizes)), 0, 0, []
        for text, size in zip(texts, sizes, strict=True):
            seen += size
            if taken + size / 2 <= share * seen:
                taken += size
                kept.append(text)
        total += taken
        folder = corpus / "documents" / language
        folder.mkdir(parents=True)
        for number in range(SHARDS):
            part = kept[number::SHARDS]
            table = pa.table({"text": part, "language": [language] * len(part)})
            pq.write_table(table, folder / f"{number:05d}.parquet", compression="zstd")
    return total


def _training(place: Path, size: int, turns: int) -> dict[str, Figure]:
    """The whole stage against the peer, then other weights and another vocabulary size from stored counts."""
    config = TokenizerConfig(vocab_size=VOCAB_SIZE, workers=1)
    peer = ROOT / "benchmarks" / "peers" / "tokenizers_bpe.py"
    special = special_tokens(config.spare_tokens)
    ours, theirs, points = [], [], []
    build_counts(config, place / "corpus", place / "counts", Reporter("quiet"))
    for turn in range(turns):
        out = place / f"theirs{turn}.json"
        theirs.append(spend([sys.executable, peer, place / "corpus", str(VOCAB_SIZE), out, *special], SINGLE).cpu_s)
        program: list[str | Path] = [sys.executable, "-m", "benchmarks.train_tokenizer"]
        ours.append(spend([*program, place / "corpus", place / f"ours{turn}", config.model_dump_json()], SINGLE).cpu_s)
        if _merges(place / f"ours{turn}" / "tokenizer.json") != _merges(out):
            raise RuntimeError("the merges differ from those of tokenizers: a benchmark of something else.")
        started = time.process_time()
        train(config, read_inventory(read_counts(place / "counts")), {"lv": 1.5 + turn, "et": 1.0})(VOCAB_SIZE)
        points.append(time.process_time() - started)
    note = f"{VOCAB_SIZE:,} entries from {size / 1e6:.1f} MB, merges identical"
    median = statistics.median
    return {
        "tokenizer.train": against(median(ours), "CPU-s", COMMAND, "tokenizers", median(theirs), note),
        "tokenizer.point": against(median(points), "CPU-s", COMMAND, note="other weights, from stored counts"),
    }


def _merges(path: Path) -> list[list[str]]:
    return list(json.loads(path.read_text())["model"]["merges"])


def _parity(place: Path) -> dict[str, Figure]:
    """The search on the carried tuning text, and its outcome on suites that it never saw, against equal bytes."""
    config = TokenizerConfig.model_validate({"vocab_size": VOCAB_SIZE, "parity": {"mode": "search"}})
    counts = read_counts(place / "counts")
    inventory = read_inventory(counts)
    found, vocabulary = search(config, counts, inventory, Reporter("quiet"))
    figures = {
        "tokenizer.parity_tuning": against(
            found.ratio, "dearest / cheapest", COMMAND, "equal bytes", found.rounds[0].ratio, _weights(found)
        )
    }
    equal = train(config, inventory, found.rounds[0].weights)
    for name, file in SUITES.items():
        if (PARALLEL / file).is_file():
            rows = [json.loads(line) for line in (PARALLEL / file).read_text().splitlines()]
            figures |= unseen(name, rows, {"parity": vocabulary, "equal": equal})
    return figures


def unseen(name: str, rows: list[dict[str, str]], vocabularies: dict[str, Vocabulary]) -> dict[str, Figure]:
    """|ln token ratio| − |ln character ratio| and mean fertility on parallel rows, documents resampled.

    `vocabularies` are those of `equal` bytes and of `parity`. The notes hold 95 % intervals of the paired difference.
    """
    columns = {}
    for language in LANGUAGES:
        texts = [row[language] for row in rows]
        columns[f"characters {language}"] = np.array([len(text) for text in texts])
        columns[f"words {language}"] = np.array([len(text.split()) for text in texts])
        for balance, vocabulary in vocabularies.items():
            encodings = vocabulary(VOCAB_SIZE).encode_batch_fast(texts, add_special_tokens=False)
            columns[f"{balance} {language}"] = np.array([len(encoding.ids) for encoding in encodings])
    sums = resample(columns, [row["doc"] for row in rows])
    figures = {}
    for figure, (unit, formula) in FORMULAS.items():
        estimates = [
            Estimate(float(formula(sums.totals, balance)), formula(sums.samples, balance) if sums.samples else None)
            for balance in ("equal", "parity")
        ]
        before, after = compared(estimates)
        note = f"difference {after.difference:+.4f} [{after.difference_low:+.4f}, {after.difference_high:+.4f}]"
        figures[f"tokenizer.parity_{name}_{figure}"] = against(
            after.value or 0.0, unit, COMMAND, "equal bytes", before.value, note
        )
    return figures


def _excess(sums: Mapping[str, Any], balance: str) -> Any:
    """How much further apart the tokens of the two languages are than their characters, in logs."""
    first, second = LANGUAGES
    tokens = sums[f"{balance} {first}"] / sums[f"{balance} {second}"]
    characters = sums[f"characters {first}"] / sums[f"characters {second}"]
    return np.abs(np.log(tokens)) - np.abs(np.log(characters))


def _fertility(sums: Mapping[str, Any], balance: str) -> Any:
    return sum(sums[f"{balance} {language}"] / sums[f"words {language}"] for language in LANGUAGES) / len(LANGUAGES)


FORMULAS = {
    "excess": ("|ln tokens| - |ln characters|", _excess),
    "fertility": ("tokens per word, mean of languages", _fertility),
}


def _weights(found: Parity) -> str:
    weights = ", ".join(f"{language} {weight:.3f}" for language, weight in found.weights.items())
    return f"weights {weights} after {len(found.rounds)} weightings"
