"""Figures of lines and paragraphs: how they begin and end, how short they are, how many are there twice.

Each rule keeps its author's notion of a line, as in datatrove 0.10.1: Gopher's line rules take every line of Unicode,
empty ones too; its repetition rules what stands between runs of `\\n`; FineWeb's rules every line with something on it.
Lengths are characters.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eurolm.corpus.rules.repeats import mix, repeats
from eurolm.corpus.rules.signs import SENTENCE_ENDS, SPACES
from eurolm.corpus.text.words import Ints

Floats = NDArray[np.float64]
OTHER_LINE_ENDS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""What ends a line for Unicode beside `\\n`."""

FIGURES: tuple[str, ...] = (
    "bullet_line_share", "ellipsis_line_share", "punctuated_line_share", "short_line_share",
    "duplicate_line_share", "duplicate_line_character_share", "duplicate_line_text_share",
    "duplicate_paragraph_share", "duplicate_paragraph_character_share",
)  # fmt: skip


def measure(texts: pl.Series, characters: Ints, newlines: Ints, short: Ints) -> pl.DataFrame:
    """Columns `FIGURES` (Float64); `short` is the length up to which a line of each text counts as short."""
    lines = _lines(texts)
    figures = _gopher(texts, lines) | _fineweb(lines, len(texts), characters - newlines, short)
    figures |= _repeated(lines, len(texts), characters) | _paragraphs(texts, characters)
    return pl.DataFrame({name: figures[name] for name in FIGURES})


def _lines(texts: pl.Series) -> pl.DataFrame:
    """The lines of every text: `text` (its place), `characters`, `bare` (without white space around), `again` (the
    same line stood before in this text)."""
    pieces = pl.DataFrame({"text": np.arange(len(texts)), "line": texts.str.split("\n")}).explode("line")
    return pieces.with_columns(
        characters=pl.col("line").str.len_chars().cast(pl.Int64),
        bare=pl.col("line").str.strip_chars(SPACES),
        again=pl.Series(_stood_before(pieces["text"], pieces["line"])),
    )


def _stood_before(texts: pl.Series, strings: pl.Series) -> NDArray[np.bool_]:
    """Whether the same string of the same text came before."""
    again = np.zeros(len(strings), np.bool_)
    found = repeats(mix(strings.hash().to_numpy() ^ mix(texts.to_numpy().view(np.uint64))))
    again[found.places] = found.places != found.firsts()
    return again


def _count(lines: pl.DataFrame, texts: int, where: pl.Expr) -> Ints:
    return np.bincount(lines.select(pl.col("text").filter(where))["text"].to_numpy(), minlength=texts)


def _sum(lines: pl.DataFrame, texts: int, where: pl.Expr) -> Ints:
    """Characters of the lines in question, per text."""
    found = lines.select(pl.col("text", "characters").filter(where))
    return np.bincount(found["text"].to_numpy(), found["characters"].to_numpy(), texts).astype(np.int64)


def share(part: NDArray[np.number], whole: NDArray[np.number]) -> Floats:
    """0 of nothing: a text without lines or words fails the rules on words, not on NaN."""
    return np.asarray(part / np.maximum(whole, 1), np.float64)


def _gopher(texts: pl.Series, lines: pl.DataFrame) -> dict[str, Floats]:
    bullets, ellipses = _listed(lines, len(texts))
    # Rare, so that only these texts are split again.
    other = np.flatnonzero(texts.str.contains(f"[{OTHER_LINE_ENDS}]").to_numpy())
    if len(other):
        plain = texts.gather(other).str.replace_all("\r\n", "\n", literal=True)
        plain = plain.str.replace_all(f"[{OTHER_LINE_ENDS}]", "\n")
        bullets[other], ellipses[other] = _listed(_lines(plain), len(other))
    return {"bullet_line_share": bullets, "ellipsis_line_share": ellipses}


def _listed(lines: pl.DataFrame, texts: int) -> tuple[Floats, Floats]:
    """Shares of lines that begin with a bullet, that end with an ellipsis. A line end at the end begins no line."""
    bare, last = pl.col("bare"), pl.col("text").is_last_distinct()
    count = _count(lines, texts, ~(last & (pl.col("characters") == 0)))
    bullets = _count(lines, texts, bare.str.starts_with("•") | bare.str.starts_with("-"))
    ellipses = _count(lines, texts, bare.str.ends_with("...") | bare.str.ends_with("…"))
    return share(bullets, count), share(ellipses, count)


def _fineweb(lines: pl.DataFrame, texts: int, characters: Ints, short: Ints) -> dict[str, Floats]:
    filled = lines.filter(pl.col("bare") != "")
    filled = filled.with_columns(short=short[filled["text"].to_numpy()])
    count = _count(filled, texts, pl.lit(True))
    ended = pl.col("line").str.tail(1).is_in(SENTENCE_ENDS)
    return {
        "punctuated_line_share": share(_count(filled, texts, ended), count),
        "short_line_share": share(_count(filled, texts, pl.col("characters") <= pl.col("short")), count),
        "duplicate_line_character_share": share(_sum(filled, texts, pl.col("again")), characters),
    }


def _repeated(lines: pl.DataFrame, texts: int, characters: Ints) -> dict[str, Floats]:
    """Lines between runs of line ends; one at the beginning or the end of the text leaves an empty line there."""
    text, empty = pl.col("text"), pl.col("characters") == 0
    edge = ~text.is_unique() & (text.is_first_distinct() | text.is_last_distinct())
    edges = _count(lines, texts, empty & edge)
    count = _count(lines, texts, ~empty) + edges
    again = _count(lines, texts, pl.col("again") & ~empty) + (edges == 2)
    return {
        "duplicate_line_share": share(again, count),
        "duplicate_line_text_share": share(_sum(lines, texts, pl.col("again")), characters),
    }


def _paragraphs(texts: pl.Series, characters: Ints) -> dict[str, Floats]:
    """Blocks between blank lines; a text without any is one paragraph, which repeats nothing."""
    result = {name: np.zeros(len(texts)) for name in FIGURES[-2:]}
    several = np.flatnonzero(texts.str.contains("\n\n", literal=True).to_numpy())
    if not len(several):
        return result
    pieces = texts.gather(several).str.strip_chars(SPACES).str.split("\n\n")
    blocks = pl.DataFrame({"text": np.arange(len(several)), "line": pieces}).explode("line")
    blocks = blocks.with_columns(pl.col("line").str.strip_chars_start("\n")).filter(pl.col("line") != "")
    blocks = blocks.with_columns(
        characters=pl.col("line").str.len_chars().cast(pl.Int64),
        again=pl.Series(_stood_before(blocks["text"], blocks["line"])),
    )
    again, count = _count(blocks, len(several), pl.col("again")), _count(blocks, len(several), pl.lit(True))
    result["duplicate_paragraph_share"][several] = share(again, count)
    again = _sum(blocks, len(several), pl.col("again"))
    result["duplicate_paragraph_character_share"][several] = share(again, characters[several])
    return result
