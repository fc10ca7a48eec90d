"""Which tokens may become one: the rules that the base vocabulary itself was made by.

A byte-level model learns within pre-tokens, so its words are cut already; new tokens hold whole characters or a part
of a single one, never the end of one and the beginning of another. SentencePiece (its `split_by_unicode_script`,
`split_digits`, `split_by_whitespace`) keeps letters, numbers and other signs apart and ▁ at the beginning, and its
tokens for single bytes stand for themselves.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from eurolm.tokenizer.alphabet import BYTE_TOKEN, SPACE

ALONE, LETTERS, NUMBERS, SIGNS, SPACES = range(5)


def is_whole(data: bytes) -> bool:
    """Whether the bytes are characters, or part of one character."""
    try:
        data.decode()
    except UnicodeDecodeError:
        leads = sum(byte >= 0xC0 for byte in data)
        return all(byte >= 0x80 for byte in data) and leads <= 1 and (not leads or data[0] >= 0xC0) and len(data) < 4
    return True


def borders(ids: NDArray[np.int64], vocabulary: Mapping[str, int], unknown: str | None) -> NDArray[np.bool_]:
    """For each two neighbours in a line of a metaspace model's ids: whether they can never share a token."""
    size = max(vocabulary.values()) + 1
    kinds, opens = np.zeros(size, np.int8), np.zeros(size, bool)
    numbers = any(_kind(token) == NUMBERS and len(token.lstrip(SPACE)) > 1 for token in vocabulary)
    for token, number in vocabulary.items():
        kind = ALONE if token == unknown or BYTE_TOKEN.fullmatch(token) else _kind(token)
        kinds[number] = ALONE if kind == NUMBERS and not numbers else kind
        opens[number] = token.startswith(SPACE)
    left, right = kinds[ids[:-1]], kinds[ids[1:]]
    same = (left == right) | (left == SPACES)
    result: NDArray[np.bool_] = (left == ALONE) | (right == ALONE) | opens[ids[1:]] | ~same
    return result


def _kind(token: str) -> int:
    """The class all characters of a token share, leading ▁ aside; ALONE where they differ or are white space."""
    plain = token.lstrip(SPACE)
    if not plain:
        return SPACES
    kinds = {_kind_of(character) for character in plain}
    return kinds.pop() if len(kinds) == 1 else ALONE


def _kind_of(character: str) -> int:
    category = unicodedata.category(character)
    if category[0] in "LM":
        return LETTERS
    if category[0] == "N":
        return NUMBERS
    return ALONE if category[0] in "ZC" or character == SPACE else SIGNS
