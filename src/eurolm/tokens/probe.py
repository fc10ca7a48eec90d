"""Texts on which a fast encoder must agree with `tokenizers` before it may encode a corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from tokenizers import Tokenizer

from eurolm.corpus.documents import batches
from eurolm.corpus.forget import NOTHING, Forgotten

Item = TypeVar("Item")
SHARDS = 8
"""Of each source, evenly spread."""
DOCUMENTS = 8
"""Of each language of such a shard, evenly spread over its first batch."""
CHARACTERS = 4000
"""Of a document, from its start."""
ADDED_TOKENS = 64

STRINGS = (
    "", " ", "  ", "   x", "x   ", " x  y   z ", "\t", "\t\tx", " \t x", "\n", "\n\n\nx\n", "\r\n\r\n x", " \n \n  x ",
    "\u00a0x\u00a0\u00a0y", "\u2003x\u200b\u200dy\ufeff", "\u2028\u2029\x85\x0b\x0c", "\x00\x01\x7f",
    "🙂👩‍👩‍👧👍🏽🇱🇻🇪🇪", "a\u0301e\u0304o\u0302\u0323\u0327", "\u0301\u0301x", "\ufb01\ufb00\u1e9e\u0130\u0131ſ'ſ 'S's",
    "āčēģīķļņšūž ĀČĒĢĪĶĻŅŠŪŽ äöõüšž ÄÖÕÜŠŽ ŗōėįųą", "I'm WE'LL don't d'Arc l’été",
    "0 12 123 1234 12345678 1.234,56 ½²①٣४", "<|", "|>", "<||>", "<s></s>", "[INST] x [/INST]",
    "A" * 600, " " * 600, "7" * 600, "ā" * 600, "\n" * 300, "-=" * 300,
    "https://e-likumi.lv/ta/id/1?x=%20&y=ā#z", "\ud7ff\ue000\uffff\U0010ffff",
)  # fmt: skip
BLOCKS = (*range(0, 0x3000, 64), *range(0x1F000, 0x1FB00, 64))
"""Alphabets and pictures, 64 characters to a string: libraries follow different versions of Unicode."""


def hard_strings(tokenizer: Tokenizer) -> list[str]:
    """Spaces, line ends, digits, marks, all alphabets, and the tokenizer's own added tokens spelled out in text."""
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()][:ADDED_TOKENS]
    spelled = [text for token in added for text in (token, f"a{token}b", f" {token}\n{token} ")]
    return [*STRINGS, *("".join(map(chr, range(first, first + 64))) for first in BLOCKS), *spelled]


def corpus_texts(shards: Sequence[Path], forgotten: Forgotten = NOTHING) -> list[str]:
    """Documents of every source, and of every language of the shards looked at."""
    by_source: dict[str, list[Path]] = {}
    for path in shards:
        by_source.setdefault(path.parent.name, []).append(path)
    return [
        text for paths in by_source.values() for path in _spread(paths, SHARDS) for text in _texts_of(path, forgotten)
    ]


def _texts_of(path: Path, forgotten: Forgotten) -> Iterator[str]:
    by_language: dict[str | None, list[str]] = {}
    first = next(batches(path, ("text", "language"), forgotten), None)
    for row in first.to_pylist() if first is not None else []:
        by_language.setdefault(row["language"], []).append(row["text"])
    for texts in by_language.values():
        yield from (text[:CHARACTERS] for text in _spread(texts, DOCUMENTS))


def _spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, the first and the last among them."""
    places = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))
    return [items[place] for place in places.tolist()]
