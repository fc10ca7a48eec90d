"""Writes the embedded sample: one `.jsonl.zst` per source, the noise, and the table of origins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import zstandard

from eurolm.artifacts.atomic import write_bytes, write_text
from eurolm.corpus.sample.noise import COUNTS, make_noise
from eurolm.corpus.sample.pick import SHARES, EvaluationItems, Share, evaluation_texts, pick, read_records

NOISE = "noise"
NOISE_SEED = 20
COMPRESSION_LEVEL = 19

INTRODUCTION = """# Origins of the embedded sample

Real text in Latvian and Estonian, whole documents, for the quickstart and the tests. Every record carries its own
licence in the field `license`; what is made from several sources must obey the licences of all of them (CC-BY-SA and
GFDL are share-alike). Made by `scripts/make_sample.py`, which says how documents were chosen. Documents that share 13
consecutive words with an evaluation item (or a whole item of 6 to 12 words) are left out.

"""

NOISE_NOTE = """
`noise.jsonl.zst` is planted on purpose and marked in the field `planted`:
{counts}.
Near-duplicates name the document they were made from (`planted_of`) and how alike they are (`planted_jaccard`, word
5-grams). Text in other languages comes from Finnish, Lithuanian, English and Russian sources, each record with its own
licence; junk was generated and is CC0-1.0.
"""


def make_sample(data: Path, out: Path) -> dict[str, int]:
    """Write the sample from the collected text in `data` (with `text/` and `eval/`) into `out`.

    Returns the compressed bytes of each file. Same input, same bytes, for one version of zstandard.
    """
    items = EvaluationItems(evaluation_texts(data))
    sizes, rows, everything = {}, [], []
    for share in SHARES:
        records = pick(read_records(data / "text" / share.language / f"{share.source}.jsonl.zst"), share, items)
        everything += records
        sizes[share.name] = _write(out, share.name, records)
        rows.append(_row(share, records))
    noise = make_noise(everything, data / "text", NOISE_SEED)
    sizes[NOISE] = _write(out, NOISE, noise)
    write_text(out / "ORIGINS.md", INTRODUCTION + _table(rows) + NOISE_NOTE.format(counts=_counts(noise)))
    return sizes


def _write(out: Path, name: str, records: Sequence[dict[str, Any]]) -> int:
    lines = b"".join(orjson.dumps(record) + b"\n" for record in records)
    data = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compress(lines)
    write_bytes(out / f"{name}.jsonl.zst", data)
    return len(data)


def _row(share: Share, records: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    size = sum(len(record["text"].encode()) for record in records)
    licences = ", ".join(sorted({record["license"] for record in records}))
    return (f"`{share.name}.jsonl.zst`", share.origin, licences, share.register, f"{len(records):,}", f"{size:,}")


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    head = ("file", "origin", "licence", "register", "records", "bytes of text")
    lines = [head, ("---", "---", "---", "---", "---:", "---:"), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _counts(noise: Sequence[dict[str, Any]]) -> str:
    counted = Counter(record["planted"] for record in noise)
    return ", ".join(f"{counted[kind]} {kind}" for kind in COUNTS)
