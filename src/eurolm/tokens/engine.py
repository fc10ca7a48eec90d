"""Who turns text into ids: `tokenizers`, or fastokens once it has shown that it gives the same ids.

fastokens (extra `fast`; Apache-2.0, no dependencies) is tens of times faster. It is tried on documents of the corpus at
hand and on strings that encoders disagree about; one other id, and `tokenizers` encodes everything. So the choice
changes no byte. Both read special tokens that are spelled out in text as the ordinary text they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from eurolm.errors import InputError, MachineError
from eurolm.machine.host import versions
from eurolm.tokenizer.load import LoadedTokenizer, load
from eurolm.tokens.probe import hard_strings

Name = Literal["tokenizers", "fastokens"]
Encode = Callable[[list[str]], tuple[NDArray[np.uint32], NDArray[np.int64]]]
"""Ids of all texts one after another, and how many each text has."""


@dataclass(frozen=True)
class Choice:
    """The engine taken, and why."""

    engine: Name
    version: str | None
    compared: int
    """Texts whose ids were compared."""
    reason: str
    """One clause for a person."""


@lru_cache(maxsize=1)
def opened(tokenizer: Path) -> LoadedTokenizer:
    """A tokenizer directory, kept for the next shard: opening it and its engine takes as long as encoding 10 MB."""
    return load(tokenizer)


@lru_cache(maxsize=2)
def encoder(loaded: LoadedTokenizer, name: Name) -> Encode:
    """The engine's encode function. Raises MachineError where fastokens is missing, InputError where it does not
    understand the tokenizer."""
    return _reference(loaded.tokenizer) if name == "tokenizers" else _fastokens(loaded.tokenizer)


def choose(wanted: Literal["auto"] | Name, loaded: LoadedTokenizer, texts: Sequence[str]) -> Choice:
    """The engine for `wanted`, compared with `tokenizers` on `texts` and on hard strings.

    Raises MachineError when `wanted` insists on fastokens and it is missing, InputError when its ids differ.
    """
    if wanted == "tokenizers":
        return _choice("tokenizers", 0, "tokens.engine = tokenizers")
    probe = [*texts, *hard_strings(loaded.tokenizer)]
    try:
        different = _different(encoder(loaded, "fastokens"), encoder(loaded, "tokenizers"), probe)
        if different is not None:
            raise InputError(f"fastokens gives other ids than tokenizers for {different[:80]!r}")
    except (MachineError, InputError) as error:
        if wanted == "auto":
            return _choice("tokenizers", len(probe), str(error))
        raise type(error)(f"tokens.engine = fastokens: {error}. Set it to auto to encode without.") from None
    return _choice("fastokens", len(probe), f"its ids were those of tokenizers on {len(probe):,} texts")


def _choice(engine: Name, compared: int, reason: str) -> Choice:
    return Choice(engine, versions((engine,))[engine], compared, reason)


def _different(one: Encode, other: Encode, texts: list[str]) -> str | None:
    """The first text that two engines encode differently; null when there is none."""
    (ids, lengths), (their_ids, their_lengths) = one(texts), other(texts)
    if np.array_equal(lengths, their_lengths) and np.array_equal(ids, their_ids):
        return None
    ends, their_ends = np.cumsum(lengths)[:-1], np.cumsum(their_lengths)[:-1]
    pairs = zip(np.split(ids, ends), np.split(their_ids, their_ends), strict=True)
    return texts[next(number for number, (a, b) in enumerate(pairs) if not np.array_equal(a, b))]


def _reference(tokenizer: Tokenizer) -> Encode:
    def encode(texts: list[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        found = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        lengths = np.fromiter(map(len, found), np.int64, len(found))
        return np.fromiter(chain.from_iterable(found), np.uint32, int(lengths.sum())), lengths

    return encode


def _fastokens(tokenizer: Tokenizer) -> Encode:
    try:
        import fastokens
    except ImportError:
        raise MachineError("fastokens is not installed (pip install 'eurolm[fast]')") from None
    try:
        fast = fastokens.Tokenizer.from_json_str(tokenizer.to_str())
    except Exception as error:  # whatever kind: what it does not understand, `tokenizers` encodes
        raise InputError(f"fastokens cannot read this tokenizer ({error})") from None

    def encode(texts: list[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        ids, bounds = fast.encode_batch_flat(texts, add_special_tokens=False, split_special_tokens=True)
        return np.frombuffer(ids, np.uint32), np.diff(np.frombuffer(bounds, np.uint64)).astype(np.int64)

    return encode
