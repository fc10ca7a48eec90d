"""The training text the n-gram models learn from: all of a language's, or the beginning of every shard."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from eurolm.corpus.documents import read_shard, shards, sources


def training_text(corpus: Path, language: str, max_bytes: int) -> tuple[list[str], bool]:
    """Texts of a language's training documents in shard order, and whether these are all of them.

    Beyond `max_bytes` each shard gives its first documents in proportion to its size, so that every source keeps its
    share and no shard is read further than needed. A document that starts within the share is taken whole.
    """
    found = [
        path
        for name, summary in sources(corpus).items()
        if summary.languages.get(language)
        for path in shards(corpus, name)
    ]
    sizes = [_text_bytes(path) for path in found]
    share = max_bytes / max(sum(sizes), 1)
    if share >= 1:
        return [document.text for path in found for document in read_shard(path, language)], True
    texts: list[str] = []
    for path, size in zip(found, sizes, strict=True):
        room = int(size * share)
        for document in read_shard(path, language):
            if room <= 0:
                break
            texts.append(document.text)
            room -= len(document.text.encode())
    return texts, False


def _text_bytes(path: Path) -> int:
    """Bytes of the text column before compression, from the file's footer."""
    metadata = pq.read_metadata(path)
    column = metadata.schema.names.index("text")
    return sum(metadata.row_group(row).column(column).total_uncompressed_size for row in range(metadata.num_row_groups))
