"""The trainer of `tokenizers` on a corpus, without eurolm: `tokenizers_bpe.py CORPUS VOCAB_SIZE OUT SPECIAL…`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def batches(corpus: Path) -> Iterator[list[str]]:
    """Texts of all shards."""
    for path in sorted(corpus.glob("documents/*/*.parquet")):
        with pq.ParquetFile(path) as shard:
            for batch in shard.iter_batches(256, columns=["text"], use_threads=False):
                yield batch["text"].to_pylist()


def main() -> None:
    """Train and save."""
    corpus, vocab_size, out, *special = sys.argv[1:]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=int(vocab_size),
        min_frequency=2,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(batches(Path(corpus)), trainer)
    tokenizer.save(out)


if __name__ == "__main__":
    main()
