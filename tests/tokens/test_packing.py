from __future__ import annotations

import bisect
import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.tokens.small_corpus import QUIET, files_of, write_shard

from eurolm.config.tokens import MixtureConfig, PhaseConfig, TokensConfig
from eurolm.corpus.text.mixing import mix64
from eurolm.errors import ConfigError, InputError
from eurolm.tokens import packing
from eurolm.tokens.bestfit import Pieces, best_fit, concatenate
from eurolm.tokens.description import read_description
from eurolm.tokens.order import GOLDEN, shuffled
from eurolm.tokens.pack_index import PIECE, PackIndex
from eurolm.tokens.packing import PackJob, build_packs, pack_shard, read_packs
from eurolm.tokens.stage import encode_corpus

FRAMED = st.lists(st.integers(2, 90), min_size=1, max_size=60).map(lambda values: np.array(values, np.int64))


def mixture(mode: str = "bestfit", *row_tokens: int) -> MixtureConfig:
    phases = [PhaseConfig(tokens=10_000, row_tokens=length, batch_rows=2) for length in row_tokens or (256,)]
    return MixtureConfig.model_validate({"packing": mode, "phases": phases})


def spans(pieces: Pieces) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    for item, start, length in zip(pieces.item.tolist(), pieces.start.tolist(), pieces.length.tolist(), strict=True):
        found.setdefault(item, []).append((start, start + length))
    return {item: sorted(parts) for item, parts in found.items()}


def fill(pieces: Pieces) -> NDArray[np.int64]:
    return np.add.reduceat(pieces.length, pieces.rows[:-1])


@settings(max_examples=300, deadline=None)
@given(framed=FRAMED, row_tokens=st.integers(16, 64))
def test_best_fit_covers_every_document_and_cuts_none_that_fits(framed: NDArray[np.int64], row_tokens: int) -> None:
    pieces = best_fit(framed, row_tokens)
    found = spans(pieces)
    assert sorted(found) == list(range(len(framed)))
    for item, parts in found.items():
        size = int(framed[item])
        whole = size // row_tokens * row_tokens
        dropped = size > row_tokens and size - whole == 1
        assert [start for start, _ in parts] == [0, *(end for _, end in parts[:-1])]
        assert parts[-1][1] == size - dropped
        assert len(parts) == 1 or size > row_tokens
        assert [end for _, end in parts[: whole // row_tokens]] == list(range(row_tokens, whole + 1, row_tokens))
    assert (fill(pieces) <= row_tokens).all()
    assert (fill(pieces) > 0).all()
    unfinished = pieces.start + pieces.length < framed[pieces.item] - (framed[pieces.item] % row_tokens == 1)
    assert np.isin(np.flatnonzero(unfinished), pieces.rows[1:] - 1).all()


@settings(max_examples=300, deadline=None)
@given(sizes=st.lists(st.integers(2, 40), min_size=1, max_size=80), row_tokens=st.integers(40, 64))
def test_best_fit_opens_as_many_rows_as_the_textbook_does(sizes: list[int], row_tokens: int) -> None:
    spaces: list[int] = []
    for size in sorted(sizes, reverse=True):
        place = bisect.bisect_left(spaces, size)
        space = spaces.pop(place) if place < len(spaces) else row_tokens
        bisect.insort(spaces, space - size)
    pieces = best_fit(np.array(sizes, np.int64), row_tokens)
    assert sorted((row_tokens - fill(pieces)).tolist()) == spaces


@settings(max_examples=300, deadline=None)
@given(framed=FRAMED, row_tokens=st.integers(16, 64))
def test_concat_is_one_stream_cut_at_row_ends(framed: NDArray[np.int64], row_tokens: int) -> None:
    stream = [(item, position) for item, size in enumerate(framed.tolist()) for position in range(size)]
    pieces = concatenate(framed, row_tokens)
    laid = [
        (item, position)
        for item, start, length in zip(pieces.item.tolist(), pieces.start.tolist(), pieces.length.tolist(), strict=True)
        for position in range(start, start + length)
    ]
    assert laid == stream
    assert (fill(pieces)[:-1] == row_tokens).all()


def test_padding_stays_below_a_thousandth_on_documents_of_natural_length() -> None:
    rng = np.random.default_rng(1)
    framed = np.maximum(3, np.exp(rng.normal(np.log(490), 1.1, 50_000))).astype(np.int64)
    for row_tokens in (2048, 4096, 8192):
        pieces = best_fit(framed, row_tokens)
        assert 1 - fill(pieces).sum() / (row_tokens * (len(pieces.rows) - 1)) < 0.001


@pytest.mark.parametrize(("low", "high"), [(1.55, 2.0), (1.51, 1.6), (1.2, 1.9)])
def test_remainders_longer_than_half_a_row_are_cut_once_more_instead_of_padded(low: float, high: float) -> None:
    row_tokens = 2048
    framed = np.random.default_rng(1).integers(int(low * row_tokens), int(high * row_tokens), 5000)
    pieces = best_fit(framed, row_tokens)
    assert 1 - pieces.length.sum() / (row_tokens * (len(pieces.rows) - 1)) < 0.001
    assert np.bincount(pieces.item).max() == 3
    assert np.array_equal(np.bincount(pieces.item, weights=pieces.length), framed)


def test_remainders_stay_whole_where_padding_is_small_anyway() -> None:
    framed = np.maximum(3, np.exp(np.random.default_rng(1).normal(np.log(490), 1.1, 50_000))).astype(np.int64)
    pieces = best_fit(framed, 2048)
    assert np.array_equal(np.bincount(pieces.item), np.maximum(-(-framed // 2048) - (framed % 2048 == 1), 1))


def test_shuffled_is_a_permutation_pinned_for_ever() -> None:
    assert sorted(shuffled(1000, 7).tolist()) == list(range(1000))
    assert shuffled(8, 7).tolist() == shuffled(8, 7).tolist() != shuffled(8, 8).tolist()
    assert shuffled(10, 1).tolist() == [9, 0, 5, 4, 8, 1, 2, 6, 7, 3]
    assert [shuffled(count, 1).tolist() for count in (0, 1)] == [[], [0]]


def test_shuffled_is_the_order_of_the_keys_where_their_upper_bits_agree_too() -> None:
    """Of 200,000 keys some dozens agree in the bits that are sorted first."""
    count = 200_000
    keys = mix64(np.arange(count, dtype=np.uint64) * np.uint64(GOLDEN) + np.uint64(3))
    assert np.array_equal(shuffled(count, 3), np.argsort(keys))


@pytest.mark.parametrize("mode", ["bestfit", "concat"])
def test_counts_in_packs_json_are_those_of_the_arrays(
    tmp_path: Path, tokenizer_dir: Path, tokens_dir: Path, mode: str
) -> None:
    build_packs(mixture(mode, 64, 256), tokens_dir, tokenizer_dir, tmp_path, QUIET)
    indexes, eod_id = read_packs(tmp_path)
    record = read_description(tokens_dir)
    assert (sorted(indexes), eod_id) == (sorted([f"64-{mode}", f"256-{mode}"]), 0)
    for name, sources in indexes.items():
        row_tokens = int(name.split("-")[0])
        assert {source: len(counts) for source, counts in sources.items()} == {
            source: len(facts.shards) for source, facts in record.sources.items()
        }
        for counts in (count for shards in sources.values() for count in shards):
            index = PackIndex(tmp_path / name / counts.stem)
            rows = [np.frombuffer(index.pieces(row), PIECE) for row in range(len(index))]
            filled = [int(pieces["length"].sum()) for pieces in rows]
            assert counts.rows == len(rows)
            assert counts.padding == counts.rows * row_tokens - sum(filled)
            assert counts.targets == sum(index.targets(row) for row in range(len(index))) == counts.tokens
            assert counts.cut_needlessly == 0 or mode == "concat"


def test_the_same_bytes_from_worker_processes(
    tmp_path: Path, tokenizer_dir: Path, tokens_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "many"):
        (tmp_path / name).mkdir()
    build_packs(mixture(), tokens_dir, tokenizer_dir, tmp_path / "one", QUIET)
    monkeypatch.setattr(packing, "IN_PROCESS_DOCUMENTS", 0)
    build_packs(mixture(), tokens_dir, tokenizer_dir, tmp_path / "many", QUIET)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "many")


def test_a_killed_build_is_finished_with_the_same_bytes(tmp_path: Path, tokenizer_dir: Path, tokens_dir: Path) -> None:
    build_packs(mixture(), tokens_dir, tokenizer_dir, tmp_path, QUIET)
    before = files_of(tmp_path)
    (tmp_path / "packs.json").unlink()
    (tmp_path / "256-bestfit/lv_text/00001.targets.npy").unlink()
    (tmp_path / "256-bestfit/odd/00000.rows.npy.partial-0123456789ab").write_bytes(b"half")
    shutil.rmtree(tmp_path / "256-bestfit/et_text")
    build_packs(mixture(), tokens_dir, tokenizer_dir, tmp_path, QUIET)
    assert files_of(tmp_path) == before


def test_the_seed_changes_the_order_and_other_shards_do_not(tmp_path: Path, tokens_dir: Path) -> None:
    def job(name: str, seed: int) -> PackJob:
        return PackJob(tokens_dir / "lv_text/00001", tmp_path / name, "lv_text/00001", 256, "bestfit", seed)

    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        pack_shard(job(name, seed))
    assert (tmp_path / "a.pieces.npy").read_bytes() == (tmp_path / "b.pieces.npy").read_bytes()
    assert (tmp_path / "a.pieces.npy").read_bytes() != (tmp_path / "c.pieces.npy").read_bytes()


def test_shards_that_are_added_leave_the_indexes_of_the_others_alone(
    tmp_path: Path, corpus: Path, tokenizer_dir: Path, tokens_dir: Path
) -> None:
    """Another source and another shard: the old indexes are the same files, and only the new ones were made."""
    kept = tmp_path / "store/packed"
    build_packs(mixture("bestfit", 64, 256), tokens_dir, tokenizer_dir, tmp_path / "before", QUIET, kept)
    made = files_of(kept)
    shutil.copytree(corpus, tmp_path / "corpus")
    for source, number in (("lv_text", "00004"), ("new", "00000")):
        write_shard(tmp_path / f"corpus/documents/{source}/{number}.parquet", ["viens", "divi trīs"], "lv", source)
    encode_corpus(TokensConfig(workers=1), tmp_path / "corpus", tokenizer_dir, tmp_path / "tokens", QUIET)
    build_packs(mixture("bestfit", 64, 256), tmp_path / "tokens", tokenizer_dir, tmp_path / "after", QUIET, kept)
    for path in (tmp_path / "before").rglob("*.npy"):
        now = tmp_path / "after" / path.relative_to(tmp_path / "before")
        assert now.samefile(path)
    added = set(files_of(kept)) - set(made)
    assert len(added) == 2 * 2 * 3
    assert {name: data for name, data in files_of(kept).items() if name in made} == made
    alone = tmp_path / "alone"
    build_packs(mixture("bestfit", 64, 256), tmp_path / "tokens", tokenizer_dir, alone, QUIET)
    assert files_of(alone) == files_of(tmp_path / "after")


def test_a_kept_index_that_is_damaged_is_refused_by_name(tmp_path: Path, tokenizer_dir: Path, tokens_dir: Path) -> None:
    kept = tmp_path / "packed"
    build_packs(mixture(), tokens_dir, tokenizer_dir, tmp_path / "first", QUIET, kept)
    path = max(kept.glob("*.pieces.npy"), key=lambda path: path.stat().st_size)
    pieces = np.load(path)
    pieces["length"][0] += 1
    np.save(path, pieces)
    with pytest.raises(InputError, match=rf"{path.name.split('.')[0]}.*predicts .* damaged"):
        build_packs(mixture(), tokens_dir, tokenizer_dir, tmp_path / "second", QUIET, kept)


def test_an_index_is_copied_where_it_cannot_be_linked(
    tmp_path: Path, tokens_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    job = PackJob(tokens_dir / "odd/00000", tmp_path / "out", "odd/00000", 64, "bestfit", 1, tmp_path / "packed")
    pack_shard(job)
    assert sorted(files_of(tmp_path / "packed").values()) == sorted(
        data for name, data in files_of(tmp_path).items() if name.startswith("out.")
    )


def test_damaged_indexes_and_missing_phases_are_refused(tmp_path: Path, tokenizer_dir: Path, tokens_dir: Path) -> None:
    build_packs(mixture(), tokens_dir, tokenizer_dir, tmp_path, QUIET)
    stem = tmp_path / "256-bestfit/lv_text/00001"
    path = stem.with_name("00001.pieces.npy")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"00001.pieces.npy has .* damaged"):
        PackIndex(stem)
    path.unlink()
    with pytest.raises(InputError, match=r"00001.pieces.npy is missing"):
        PackIndex(stem)
    (tmp_path / "packs.json").write_text(json.dumps({"indexes": {}}))
    with pytest.raises(InputError, match="damaged"):
        read_packs(tmp_path)
    with pytest.raises(ConfigError, match=r"mixture.phases is empty"):
        build_packs(MixtureConfig(), tokens_dir, tokenizer_dir, tmp_path, QUIET)
