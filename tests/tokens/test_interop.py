"""Megatron-LM's own code reads our shards, and we read what it writes. `independent.py` does so without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.tokens.small_corpus import QUIET, corpus_texts

from eurolm.config.tokens import TokensConfig
from eurolm.tokenizer.load import load
from eurolm.tokens.shards import ShardReader
from eurolm.tokens.stage import build_tokens

megatron = pytest.importorskip("megatron.core.datasets.indexed_dataset", reason="megatron-core is not installed")


def test_megatron_reads_our_shards(tokens_dir: Path) -> None:
    for index in sorted(tokens_dir.glob("*/*.idx")):
        theirs = megatron.IndexedDataset(str(index.with_suffix("")))
        with ShardReader(index.with_suffix("")) as ours:
            assert len(theirs) == len(ours) == len(theirs.document_indices) - 1
            assert all(np.array_equal(theirs[number], ours.document(number)) for number in range(len(ours)))


def test_we_adopt_what_megatron_writes(tmp_path: Path, corpus: Path, tokenizer_dir: Path) -> None:
    loaded = load(tokenizer_dir)
    encoded = loaded.encode_batch(list(corpus_texts(corpus).values())[:80])
    stem = tmp_path / "foreign" / "lv_text_document"
    stem.parent.mkdir()
    builder = megatron.IndexedDatasetBuilder(f"{stem}.bin", dtype=np.uint16)
    for ids in encoded:
        builder.add_document(np.array([*ids, loaded.eod_id]), [len(ids) + 1])
    builder.finalize(f"{stem}.idx")
    build_tokens(TokensConfig(use=stem.parent), None, tokenizer_dir, tmp_path / "out", QUIET)
    with ShardReader(stem) as shard:
        assert [shard.document(number).tolist() for number in range(len(shard))] == [
            [*ids, loaded.eod_id] for ids in encoded
        ]
