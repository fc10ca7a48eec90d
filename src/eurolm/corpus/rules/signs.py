"""Which characters are letters, punctuation, white space or sentence ends, and what that makes of a word.

The sets are those of datatrove 0.10.1, so that figures equal its figures for any words; white space and letters are
Python's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from eurolm.corpus.rules.repeats import word_hashes
from eurolm.corpus.text.words import Ints, UInts, Words

CODE_POINTS = 0x110000


def _characters(ranges: str) -> list[str]:
    """`21 61-63` → `!`, `a`, `b`, `c`."""
    ends = [[int(end, 16) for end in part.split("-")] for part in ranges.split()]
    return [chr(point) for end in ends for point in range(end[0], end[-1] + 1)]


SENTENCE_ENDS = _characters(
    "21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e 1735-1736 "
    "17d4-17d6 17d9-17da 1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e 1c3b-1c3c 1c7e-1c7f "
    "203c-203d 2047-2049 2e2e 2e3c 2e53-2e54 3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9 "
    "aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f ff61 10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 "
    "110be-110c1 11141-11143 111c5-111c6 111cd 111de-111df 11238-11239 1123b-1123c 112a9 1144b-1144c 115c2-115c3 "
    "115c9-115d7 11641-11642 1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c 11c41-11c42 11ef7-11ef8 11f43-11f44 "
    "16a6e-16a6f 16af5 16b37-16b38 16b44 16e98 1bc9f 1da88"
)
"""End a line properly: sentence ends of all scripts, without closing quotes."""

PUNCTUATION = [
    *_characters("0-8 b-1f 21-2f 3a-40 5b-60 7b-9f ff01 ff05 ff08-ff09 ff0c ff0e ff11 ff1a-ff1b ff1f ff5e"),
    *"«´»–—’“”„…∶━►、。〈〉《》「」【】",
    *SENTENCE_ENDS,
]
"""A word of nothing else is not counted as a word."""

SPACES = "".join(_characters("9-d 1c-20 85 a0 1680 2000-200a 2028-2029 202f 205f 3000"))
"""What `str.strip` strips; polars leaves the separators 1c to 1f."""


@cache
def _is_letter() -> NDArray[np.bool_]:
    """By code point; an eighth of a second, once per process."""
    return np.fromiter(map(str.isalpha, map(chr, range(CODE_POINTS))), np.bool_, CODE_POINTS)


@cache
def _is_other_than_punctuation() -> NDArray[np.bool_]:
    found = np.ones(CODE_POINTS, np.bool_)
    found[[ord(character) for character in PUNCTUATION]] = False
    return found


@dataclass(frozen=True)
class Spelling:
    """Of each distinct word: its hash (uint64), whether it has a letter, whether it is more than punctuation."""

    hashes: UInts
    lettered: NDArray[np.bool_]
    counted: NDArray[np.bool_]


def spelling(words: Words) -> Spelling:
    """What the distinct words are made of."""
    offsets = np.concatenate([[0], np.cumsum(words.lengths)])
    points = np.frombuffer("".join(words.distinct).encode("utf-32-le", "surrogatepass"), np.uint32)
    return Spelling(
        hashes=word_hashes(points, offsets),
        lettered=_any(_is_letter()[points], offsets),
        counted=_any(_is_other_than_punctuation()[points], offsets),
    )


def _any(true: NDArray[np.bool_], offsets: Ints) -> NDArray[np.bool_]:
    before = np.concatenate([[0], np.cumsum(true)])
    return before[offsets[1:]] > before[offsets[:-1]]
