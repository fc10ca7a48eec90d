"""One encoder over one text in a process of its own: what `benchmarks.tokens` compares.

Usage: python -m benchmarks.encoding fastokens|tokenizers|megatron|encode_batch PLACE OUT. Prints CPU-seconds and tokens
as JSON. The clock starts when the tokenizer is open and stops when everything is written. `megatron` does what
Megatron-LM's preprocess_data.py does: a JSON line, its ids, one document handed to the builder.
"""

from __future__ import annotations

import json
import resource
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from eurolm.config.tokens import TokensConfig
from eurolm.console import Reporter
from eurolm.tokenizer.load import LoadedTokenizer
from eurolm.tokens.description import read_description
from eurolm.tokens.engine import Name, encoder, opened
from eurolm.tokens.shards import write_index
from eurolm.tokens.stage import encode_corpus


def stage(engine: Name, place: Path, out: Path) -> int:
    """Parquet to shards by eurolm."""
    config = TokensConfig(engine=engine, workers=1)
    encode_corpus(config, place / "corpus", place / "tokenizer", out, Reporter("quiet"))
    return sum(source.tokens for source in read_description(out).sources.values())


def megatron(loaded: LoadedTokenizer, place: Path, out: Path) -> int:
    """JSONL to one shard, a document at a time, each made an array and written by itself."""
    lengths: list[int] = []
    with (place / "text.jsonl").open(encoding="utf-8") as lines, (out / "0.bin").open("wb") as stream:
        for line in lines:
            ids = loaded.encode(json.loads(line)["text"])
            ids.append(loaded.eod_id)
            stream.write(np.array(ids, np.uint16).tobytes(order="C"))
            lengths.append(len(ids))
    write_index(out / "0.idx", np.array(lengths, np.int32), np.uint16)
    return sum(lengths)


def encode_batch(loaded: LoadedTokenizer, texts: list[str]) -> int:
    """`tokenizers` alone: texts in memory, nothing read, nothing written, its encodings as they come."""
    encodings = loaded.tokenizer.encode_batch(texts, add_special_tokens=False)
    return sum(map(len, encodings)) + len(texts)


def main() -> None:
    """Measure one of them."""
    name, place, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    loaded = opened(place / "tokenizer")
    if name == "megatron":
        work = partial(megatron, loaded, place, out)
    elif name == "encode_batch":
        files = sorted((place / "corpus" / "documents").glob("*/*.parquet"))
        texts = [text for path in files for text in pq.read_table(path, columns=["text"])["text"].to_pylist()]
        work = partial(encode_batch, loaded, texts)
    else:
        engine: Name = "fastokens" if name == "fastokens" else "tokenizers"
        encoder(loaded, engine)
        work = partial(stage, engine, place, out)
    before = resource.getrusage(resource.RUSAGE_SELF)
    tokens = work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu_s": spent, "tokens": tokens}))


if __name__ == "__main__":
    main()
