"""The held-out text of a validation: the same whatever the number of ranks, shared out evenly, characters whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eurolm.scoring.loglikelihood import ScoredRow
from eurolm.train.validate import PIECE_BYTES, pieces, share

texts = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=200), max_size=8)


@given(texts, st.integers(1, 2_000))
def test_pieces_are_the_head_of_the_text(found: list[str], max_bytes: int) -> None:
    joined = "".join(pieces(found, max_bytes))
    whole = "".join(found)
    assert whole.startswith(joined)
    # No more than one character is lost at each document's end by the limit.
    assert min(max_bytes, len(whole.encode())) - len(joined.encode()) <= 3


def test_a_long_book_is_cut_into_pieces_that_join_to_it() -> None:
    book = "Ziemeļi, õhtu, 🙂 — " * 5_000
    found = pieces([book], 10**9)
    assert "".join(found) == book
    assert len(found) > 5
    assert all(PIECE_BYTES - 4 < len(piece.encode()) <= PIECE_BYTES for piece in found[:-1])


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 5))
def test_ranks_share_all_rows_in_equally_many_batches(lengths: list[int], world: int) -> None:
    rows = [ScoredRow(np.full(size, number + 1), np.arange(size)) for number, size in enumerate(lengths)]
    shares = [share(rows, rank, world, 0) for rank in range(world)]
    assert len({len(mine) for mine in shares}) == 1
    found = [
        (int(inputs[0]), int((targets >= 0).sum()))
        for mine in shares
        for batch in mine
        for inputs, targets in zip(batch.input_ids, batch.targets, strict=True)
        if (targets >= 0).any()
    ]
    assert sorted(found) == [(number + 1, size) for number, size in enumerate(lengths)]
    for batches in zip(*shares, strict=True):
        assert len({batch.input_ids.shape[1] for batch in batches}) == 1
