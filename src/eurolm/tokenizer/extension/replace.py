"""Which tokens give their ids to new ones, when the vocabulary must not grow.

A token can go when neither the text to learn nor the protected text uses it, it is not special and spells no single
byte, and no merge that stays needs it. So tokens go from the ends of merges inwards, and no word of those texts is cut
differently. First go tokens with characters that those texts do not have at all, then the newest: merges are in the
order of their usefulness to the text the base was made from.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from eurolm.errors import InputError
from eurolm.tokenizer.alphabet import BYTE_TOKEN
from eurolm.tokenizer.extension.base import Base


def removable(
    base: Base, model: Mapping[str, Any], used: AbstractSet[int], characters: set[str], count: int
) -> list[str]:
    """`count` tokens of the base to give up, of `model`: the base's with the new tokens and merges.

    `used`: ids that the texts use. `characters`: those of the texts, as tokens spell them. Raises InputError where
    too few can go.
    """
    vocabulary: dict[str, int] = model["vocab"]
    results: dict[str, set[str]] = {}
    for left, right in model["merges"]:
        results.setdefault(left, set()).add(left + right)
        results.setdefault(right, set()).add(left + right)
    kept = {*base.added, model.get("unk_token")}
    free = {
        token
        for token, number in base.vocabulary.items()
        if number not in used and token not in kept and not BYTE_TOKEN.fullmatch(token)
        if len(token) > 1 or (model.get("byte_fallback") and not base.byte_level)
    }

    def entry(token: str) -> tuple[bool, int, str]:
        return characters.issuperset(token), -vocabulary[token], token

    needed = {token: len(results.get(token, ())) for token in free}
    parts = _parts(model["merges"], free)
    heap = [entry(token) for token in free if not needed[token]]
    heapq.heapify(heap)
    gone: list[str] = []
    while heap and len(gone) < count:
        token = heapq.heappop(heap)[2]
        gone.append(token)
        for part in parts.get(token, ()):
            needed[part] -= 1
            if not needed[part]:
                heapq.heappush(heap, entry(part))
    if len(gone) < count:
        raise InputError(
            f"--replace: only {len(gone):,} of {len(base.vocabulary):,} tokens can give their ids to {count:,} new "
            f"ones; the text or a merge needs the others. Take --add {len(gone)} or less, or leave --replace out."
        )
    return gone


def _parts(merges: Iterable[tuple[str, str]], free: AbstractSet[str]) -> dict[str, set[str]]:
    """Token → those of `free` that it is merged from, by any of its merges."""
    parts: dict[str, set[str]] = {}
    for left, right in merges:
        parts.setdefault(left + right, set()).update({left, right} & free)
    return parts
