"""The held-out text of a validation: the same whatever the number of ranks, shared out evenly, characters whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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


@given(texts, st.integers(1, 5))
def test_ranks_share_all_pieces_and_none_twice(found: list[str], world: int) -> None:
    shares = [share(found, rank, world) for rank in range(world)]
    assert sorted(piece for mine in shares for piece in mine) == sorted(found)
    loads = [sum(len(piece.encode()) for piece in mine) for mine in shares]
    assert max(loads) - min(loads) <= max((len(piece.encode()) for piece in found), default=0)
