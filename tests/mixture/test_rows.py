from __future__ import annotations

import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.mixture.orders import opened, rows_of
from tests.tokens.independent import read_documents, write_documents
from tests.tokens.small_corpus import QUIET, corpus_texts

from eurolm.config.tokens import MixtureConfig, PhaseConfig, TokensConfig
from eurolm.errors import InputError
from eurolm.mixture.mixture import Mixture
from eurolm.tokenizer.load import load
from eurolm.tokens.description import read_description
from eurolm.tokens.packing import build_packs, read_packs
from eurolm.tokens.stage import build_tokens

EOD, IGNORED = 0, -100


def reference(tokens: Path) -> dict[str, list[int]]:
    """Ids of every document with its EOD, read without eurolm, by document id or shard and number."""
    found = {}
    record = read_description(tokens)
    for shard in (shard for source in record.sources.values() for shard in source.shards):
        stem = record.shards_in(tokens) / shard.stem
        table = stem.with_name(stem.name + ".documents.parquet")
        documents = read_documents(stem)
        names = (
            pq.read_table(table)["id"].to_pylist()
            if table.is_file()
            else [f"{shard.stem}#{number}" for number in range(len(documents))]
        )
        found.update(zip(names, documents, strict=True))
    return found


def segments(inputs: list[int], positions: list[int], targets: list[int]) -> list[tuple[list[int], list[int]]]:
    """Inputs and targets of each stretch of positions that starts at 0; the padding, all masked, left out."""
    begins = [*(place for place, position in enumerate(positions) if position == 0), len(inputs)]
    assert begins[0] == 0
    found = []
    for first, last in pairwise(begins):
        assert positions[first:last] == list(range(last - first))
        found.append((inputs[first:last], targets[first:last]))
    if set(found[-1][0]) == {EOD} and set(found[-1][1]) == {IGNORED}:
        found.pop()
    return found


def check_epoch(mixture: Mixture, documents: dict[str, list[int]]) -> None:
    """All rows of an epoch together predict every id of every document exactly once, from the id before it."""
    pairs: dict[str, Counter[tuple[int, int]]] = {}
    batch = mixture.rows(range(mixture.total_samples))
    for number in range(mixture.total_samples):
        row = [getattr(batch, name)[number].tolist() for name in ("input_ids", "position_ids", "targets")]
        names = [piece.id for piece in mixture.trace(number)]
        parts = segments(*row)
        assert len(parts) == len(names)
        for name, (inputs, targets) in zip(names, parts, strict=True):
            assert targets[:-1] == inputs[1:]
            counted = list(zip(inputs, targets, strict=True))
            if counted[-1][1] == IGNORED:
                assert counted.pop()[0] == EOD
            if inputs[0] == EOD and len(inputs) == len(documents[name]) + 1:
                assert [target for _, target in counted] == documents[name]
            pairs.setdefault(name, Counter()).update(counted)
    assert set(pairs) == set(documents)
    for name, ids in documents.items():
        assert pairs[name] == Counter(pairwise([EOD, *ids])), name


@pytest.mark.parametrize("packing", ["bestfit", "concat"])
@pytest.mark.parametrize("row_tokens", [64, 256])
def test_an_epoch_predicts_every_token_of_every_document_once(
    tokens_dir: Path, packs_dir: Path, packing: str, row_tokens: int
) -> None:
    documents = reference(tokens_dir)
    for source, rows in rows_of(packs_dir, row_tokens, packing).items():
        phase = {"tokens": rows * row_tokens, "row_tokens": row_tokens, "batch_rows": 1, "weights": {source: 1}}
        mixture = opened(tokens_dir, packs_dir, phase, packing=packing)
        check_epoch(mixture, {name: ids for name, ids in documents.items() if name.startswith(f"{source}-")})


def test_an_epoch_of_foreign_shards_does_too(tmp_path: Path, corpus: Path, tokenizer_dir: Path) -> None:
    encoded = load(tokenizer_dir).encode_batch(list(corpus_texts(corpus).values())[-60:])
    write_documents(tmp_path / "foreign" / "a_text_document", [[ids, [EOD]] for ids in encoded[:30]], 4)
    write_documents(tmp_path / "foreign" / "b", [[[*ids, EOD]] for ids in encoded[30:]], 8)
    for name in ("tokens", "packs"):
        (tmp_path / name).mkdir()
    build_tokens(TokensConfig(use=tmp_path / "foreign"), None, tokenizer_dir, tmp_path / "tokens", QUIET)
    config = MixtureConfig(phases=[PhaseConfig(tokens=1, row_tokens=64, batch_rows=1)])
    build_packs(config, tmp_path / "tokens", tokenizer_dir, tmp_path / "packs", QUIET)
    documents = reference(tmp_path / "tokens")
    for source, stem in (("a", "a_text_document"), ("b", "b")):
        rows = sum(shard.rows for shard in read_packs(tmp_path / "packs")[0]["64-bestfit"][source])
        phases = [PhaseConfig(tokens=rows * 64, row_tokens=64, batch_rows=1, weights={source: 1.0})]
        mixture = Mixture.open(MixtureConfig(phases=phases), tmp_path / "tokens", tmp_path / "packs")
        check_epoch(mixture, {name: ids for name, ids in documents.items() if name.startswith(f"{stem}#")})


def test_decoded_rows_are_the_texts(corpus: Path, tokenizer_dir: Path, tokens_dir: Path, packs_dir: Path) -> None:
    loaded, texts = load(tokenizer_dir), corpus_texts(corpus)
    mixture = opened(tokens_dir, packs_dir, {"tokens": 300 * 256, "row_tokens": 256, "weights": {"odd": 1}})
    compared = 0
    for number in range(mixture.total_samples):
        batch = mixture.rows([number])
        parts = segments(*(getattr(batch, name)[0].tolist() for name in ("input_ids", "position_ids", "targets")))
        for piece, (inputs, targets) in zip(mixture.trace(number), parts, strict=True):
            whole = inputs[0] == EOD and targets[-1] == IGNORED
            assert (piece.complete, piece.length) == (whole, len(inputs))
            ids = loaded.encode(texts[piece.id])
            assert [target for target in targets if target != IGNORED] == [*ids, EOD][piece.first_token :][
                : len(inputs)
            ]
            if whole:
                assert loaded.decode(targets[:-2]) == texts[piece.id]
                compared += 1
    assert compared > 100


def test_arrays_are_contiguous_int64_in_the_order_asked_for(tokens_dir: Path, packs_dir: Path) -> None:
    mixture = opened(tokens_dir, packs_dir, {"tokens": 100 * 64})
    batch, turned = mixture.rows([3, 90, 17]), mixture.rows([17, 3, 90])
    for name in ("input_ids", "position_ids", "targets"):
        array = getattr(batch, name)
        assert (array.shape, array.dtype, array.flags.c_contiguous) == ((3, 64), np.dtype(np.int64), True)
        assert np.array_equal(array, getattr(turned, name)[[1, 2, 0]])


def test_rows_of_two_lengths_do_not_fit_one_batch(tokens_dir: Path, packs_dir: Path) -> None:
    mixture = opened(tokens_dir, packs_dir, {}, {"row_tokens": 256, "tokens": 256 * 8})
    with pytest.raises(ValueError, match="different row lengths"):
        mixture.rows([0, 8])
    with pytest.raises(IndexError):
        mixture.sample(mixture.total_samples)
    with pytest.raises(IndexError):
        mixture.sample(-1)


def test_a_shard_that_changed_after_packing_is_refused_by_name(
    tmp_path: Path, tokenizer_dir: Path, tokens_dir: Path
) -> None:
    shutil.copytree(tokens_dir, tmp_path / "tokens")
    (tmp_path / "packs").mkdir()
    config = MixtureConfig(phases=[PhaseConfig(tokens=64 * 600, row_tokens=64, batch_rows=1, max_epochs=1e6)])
    build_packs(config, tmp_path / "tokens", tokenizer_dir, tmp_path / "packs", QUIET)
    mixture = Mixture.open(config, tmp_path / "tokens", tmp_path / "packs")
    for path in (tmp_path / "tokens").glob("*/*.bin"):
        path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(InputError, match=r"000\d\d.bin has .* but its pack index was built from"):
        mixture.rows([0])
